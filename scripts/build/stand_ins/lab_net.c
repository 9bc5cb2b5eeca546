/*
 * The part of Windows' network configuration that Wine lacks: addresses, routes and interface settings become those of the namespace through `ip`;
 * DNS settings and metrics are kept here, and stay after the program that set them has ended, as they do in Windows.
 */
#include "lab_helper.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <stdlib.h>
#include <string.h>

char *if_indextoname(unsigned int index, char *name);
unsigned int if_nametoindex(const char *name);

#define SETTINGS_MAX 64

static struct lab_ip_interface interfaces[SETTINGS_MAX];
static unsigned interface_count;
static struct lab_ip_dns dns_settings[SETTINGS_MAX];
static unsigned dns_count;

/* What `ip` complains of, as Windows would. */
static uint32_t error_of(const char *said)
{
	if (strstr(said, "File exists") != NULL || strstr(said, "already assigned") != NULL)
		return WIN_OBJECT_ALREADY_EXISTS;
	if (strstr(said, "No such process") != NULL || strstr(said, "Cannot assign requested address") != NULL ||
	    strstr(said, "address not found") != NULL || strstr(said, "Cannot find device") != NULL)
		return WIN_NOT_FOUND;
	fprintf(stderr, "lab_helper: ip: %s", said);
	return WIN_INVALID_PARAMETER;
}

static uint32_t run_ip(const char *const words[])
{
	char said[512];

	return run_program(words, said, sizeof said) ? WIN_OK : error_of(said);
}

static const char *version_of(uint32_t family)
{
	return family == 6 ? "-6" : "-4";
}

static void write_address(uint32_t family, const uint8_t *bytes, char *text)
{
	inet_ntop(family == 6 ? AF_INET6 : AF_INET, bytes, text, INET6_ADDRSTRLEN);
}

static uint32_t change_address(const struct lab_ip_address *wanted, const char *deed)
{
	char device[IFNAMSIZ], address[INET6_ADDRSTRLEN], prefix[INET6_ADDRSTRLEN + 16];
	const char *last = wanted->family == 6 && strcmp(deed, "add") == 0 ? "nodad" : NULL;
	const char *const words[] = { "ip", version_of(wanted->family), "address", deed, prefix, "dev", device, last, NULL };

	if (if_indextoname(wanted->index, device) == NULL)
		return WIN_NOT_FOUND;
	write_address(wanted->family, wanted->address, address);
	snprintf(prefix, sizeof prefix, "%s/%u", address, wanted->prefix);
	return run_ip(words);
}

static uint32_t mtu_of(uint32_t index)
{
	char device[IFNAMSIZ], path[64];
	unsigned mtu = 1500;
	FILE *file;

	if (if_indextoname(index, device) == NULL)
		return mtu;
	snprintf(path, sizeof path, "/sys/class/net/%s/mtu", device);
	file = fopen(path, "r");
	if (file == NULL)
		return mtu;
	if (fscanf(file, "%u", &mtu) != 1)
		mtu = 1500;
	fclose(file);
	return mtu;
}

static struct lab_ip_interface *find_interface(uint32_t index, uint32_t family)
{
	struct lab_ip_interface *found;

	for (unsigned at = 0; at < interface_count; at++)
		if (interfaces[at].index == index && interfaces[at].family == family)
			return &interfaces[at];
	if (interface_count == SETTINGS_MAX)
		return NULL;
	found = &interfaces[interface_count++];
	*found = (struct lab_ip_interface){ .index = index, .family = family, .metric = 25, .is_automatic = 1, .mtu = mtu_of(index),
		                            .dad_transmits = 3, .router_discovery = 2 };
	return found;
}

static uint32_t change_route(const struct lab_ip_route *wanted, const char *deed)
{
	static const uint8_t nowhere[16];
	char device[IFNAMSIZ], text[INET6_ADDRSTRLEN], prefix[INET6_ADDRSTRLEN + 16], next[INET6_ADDRSTRLEN], metric[16];
	const char *words[16] = { "ip", version_of(wanted->family), "route", deed, prefix };
	int is_adding = strcmp(deed, "add") == 0;
	unsigned count = 5;
	struct lab_ip_interface *interface = find_interface(wanted->index, wanted->family);

	if (if_indextoname(wanted->index, device) == NULL)
		return WIN_NOT_FOUND;
	write_address(wanted->family, wanted->destination, text);
	snprintf(prefix, sizeof prefix, "%s/%u", text, wanted->prefix);
	if (memcmp(wanted->next_hop, nowhere, sizeof nowhere) != 0) {
		write_address(wanted->family, wanted->next_hop, next);
		words[count++] = "via";
		words[count++] = next;
	}
	words[count++] = "dev";
	words[count++] = device;
	if (is_adding) {
		/* Windows adds the interface's own metric to the route's. */
		snprintf(metric, sizeof metric, "%u", wanted->metric + (interface == NULL ? 0 : interface->metric) + 1);
		words[count++] = "metric";
		words[count++] = metric;
		if (count > 9 && words[5][0] == 'v')
			words[count++] = "onlink";
	}
	words[count] = NULL;
	return run_ip(words);
}

/* The address behind a word in what `ip` said; all zero when there is none. */
static void read_address(const char *said, const char *word, uint32_t family, uint8_t *address)
{
	const char *found = strstr(said, word);
	char text[INET6_ADDRSTRLEN];

	memset(address, 0, 16);
	if (found != NULL && sscanf(found + strlen(word), "%45s", text) == 1)
		inet_pton(family == 6 ? AF_INET6 : AF_INET, text, address);
}

static uint32_t find_route(struct lab_ip_best *wanted)
{
	char said[512], to[INET6_ADDRSTRLEN], device[IFNAMSIZ] = "";
	const char *const any[] = { "ip", "-o", version_of(wanted->family), "route", "get", to, NULL };
	const char *const through[] = { "ip", "-o", version_of(wanted->family), "route", "get", to, "oif", device, NULL };
	const char *found;

	if (wanted->index != 0 && if_indextoname(wanted->index, device) == NULL)
		return WIN_NOT_FOUND;
	write_address(wanted->family, wanted->destination, to);
	if (!run_program(wanted->index == 0 ? any : through, said, sizeof said))
		return WIN_NETWORK_UNREACHABLE;
	read_address(said, " via ", wanted->family, wanted->next_hop);
	read_address(said, " src ", wanted->family, wanted->source);
	found = strstr(said, " dev ");
	if (found == NULL || sscanf(found + 5, "%15s", device) != 1)
		return WIN_NETWORK_UNREACHABLE;
	wanted->index = if_nametoindex(device);
	return WIN_OK;
}

static uint32_t set_interface(const struct lab_ip_interface *wanted)
{
	struct lab_ip_interface *interface = find_interface(wanted->index, wanted->family);
	char device[IFNAMSIZ], mtu[16];
	const char *const words[] = { "ip", "link", "set", "dev", device, "mtu", mtu, NULL };

	if (interface == NULL || if_indextoname(wanted->index, device) == NULL)
		return WIN_NOT_FOUND;
	if (wanted->mtu < (wanted->family == 6 ? 1280u : 576u) || wanted->mtu > 65535)
		return WIN_INVALID_PARAMETER;
	snprintf(mtu, sizeof mtu, "%u", wanted->mtu);
	if (wanted->mtu != mtu_of(wanted->index) && !run_program(words, NULL, 0))
		return WIN_INVALID_PARAMETER;
	*interface = *wanted;
	return WIN_OK;
}

static struct lab_ip_dns *find_dns(const struct lab_ip_dns *wanted)
{
	for (unsigned at = 0; at < dns_count; at++)
		if (memcmp(dns_settings[at].guid, wanted->guid, 16) == 0 && dns_settings[at].family == wanted->family)
			return &dns_settings[at];
	if (dns_count == SETTINGS_MAX)
		return NULL;
	dns_settings[dns_count] = *wanted;
	dns_settings[dns_count].servers[0] = 0;
	return &dns_settings[dns_count++];
}

static uint32_t change_dns(struct lab_ip_dns *wanted, int is_setting)
{
	struct lab_ip_dns *found;

	wanted->servers[LAB_SERVERS_MAX - 1] = 0;
	found = find_dns(wanted);
	if (found == NULL)
		return WIN_GEN_FAILURE;
	if (is_setting)
		*found = *wanted;
	else
		*wanted = *found;
	return WIN_OK;
}

/* Any request's body. */
union request {
	struct lab_ip_address address;
	struct lab_ip_route route;
	struct lab_ip_interface interface;
	struct lab_ip_dns dns;
	struct lab_ip_best best;
};

static uint32_t obey(uint16_t type, union request *request)
{
	struct lab_ip_interface *interface;

	switch (type) {
	case LAB_IP_ADDRESS_ADD:
		return change_address(&request->address, "add");
	case LAB_IP_ADDRESS_DELETE:
		return change_address(&request->address, "delete");
	case LAB_IP_ROUTE_ADD:
		return change_route(&request->route, "add");
	case LAB_IP_ROUTE_DELETE:
		return change_route(&request->route, "delete");
	case LAB_IP_INTERFACE_GET:
		interface = find_interface(request->interface.index, request->interface.family);
		if (interface == NULL)
			return WIN_NOT_FOUND;
		request->interface = *interface;
		return WIN_OK;
	case LAB_IP_ROUTE_FIND:
		return find_route(&request->best);
	case LAB_IP_INTERFACE_SET:
		return set_interface(&request->interface);
	case LAB_IP_DNS_SET:
	case LAB_IP_DNS_GET:
		return change_dns(&request->dns, type == LAB_IP_DNS_SET);
	default:
		return WIN_INVALID_PARAMETER;
	}
}

void serve_ip(int link)
{
	struct lab_frame head;
	union request request;

	while (link_read(link, &head, sizeof head) && head.bytes <= sizeof request) {
		uint32_t error;

		memset(&request, 0, sizeof request);
		if (!link_read(link, &request, head.bytes))
			return;
		pthread_mutex_lock(&lab_lock);
		error = head.type == LAB_IP_ROUTE_ADD ? take_planned_failure("route") : WIN_OK;
		if (error == WIN_OK)
			error = obey(head.type, &request);
		pthread_mutex_unlock(&lab_lock);
		if (!link_answer(link, error, &request, head.bytes))
			return;
	}
}

void ip_describe(FILE *out)
{
	pthread_mutex_lock(&lab_lock);
	fprintf(out, "\"interfaces\":[");
	for (unsigned at = 0; at < interface_count; at++)
		fprintf(out, "%s{\"index\":%u,\"family\":%u,\"metric\":%u,\"isAutomatic\":%s,\"mtu\":%u}", at == 0 ? "" : ",",
		        interfaces[at].index, interfaces[at].family, interfaces[at].metric,
		        interfaces[at].is_automatic ? "true" : "false", interfaces[at].mtu);
	fprintf(out, "],\"dns\":[");
	for (unsigned at = 0; at < dns_count; at++) {
		fprintf(out, "%s{\"family\":%u,\"servers\":\"%s\",\"guid\":\"", at == 0 ? "" : ",", dns_settings[at].family,
		        dns_settings[at].servers);
		for (int byte = 0; byte < 16; byte++)
			fprintf(out, "%02x", dns_settings[at].guid[byte]);
		fprintf(out, "\"}");
	}
	fprintf(out, "]");
	pthread_mutex_unlock(&lab_lock);
}
