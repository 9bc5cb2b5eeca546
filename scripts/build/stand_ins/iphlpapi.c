/*
 * A stand-in for what Wine 10's iphlpapi.dll lacks. Structs are those of the C headers; every field that Windows reads is checked as strictly as its
 * documentation has it, so that a wrong offset or a forgotten initialization on our side fails here. Everything else is forwarded to Wine's own
 * library by the .def file that the build writes.
 *
 * Source: Microsoft's documentation of netioapi.h, each function's "Return value" and "Remarks".
 */
#include "lab_link.h"

#include <iphlpapi.h>
#include <netioapi.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(MIB_UNICASTIPADDRESS_ROW) == 80, "the row of an address has 80 bytes");
_Static_assert(sizeof(MIB_IPFORWARD_ROW2) == 104, "the row of a route has 104 bytes");
_Static_assert(sizeof(MIB_IPINTERFACE_ROW) == 168, "the row of an interface has 168 bytes");

/* Prefix and suffix origins that mean "leave as it is". Source: nldef.h. */
#define ORIGIN_UNCHANGED 16
/* What a length is initialized with: not given. */
#define LENGTH_UNSET 255
#define LIFETIME_INFINITE 0xFFFFFFFFu
/* What the name servers of version 1 of the struct need. Source: netioapi.h of the Windows SDK; mingw's has none of it. */
#define DNS_VERSION_1 1
#define DNS_FLAG_IPV6 0x1u
#define DNS_FLAG_NAMESERVER 0x2u
#define DNS_FLAGS_KNOWN 0x7FFu

struct dns_settings {
	ULONG version;
	ULONG64 flags;
	PWSTR domain;
	PWSTR name_server;
	PWSTR search_list;
	ULONG registration_enabled;
	ULONG register_adapter_name;
	ULONG enable_llmnr;
	ULONG query_adapter_name;
	PWSTR profile_name_server;
};
_Static_assert(sizeof(struct dns_settings) == 64, "DNS_INTERFACE_SETTINGS has 64 bytes");

static CRITICAL_SECTION lock;
static SOCKET link_to_helper = INVALID_SOCKET;

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, void *reserved)
{
	(void)reserved;
	if (reason == DLL_PROCESS_ATTACH) {
		DisableThreadLibraryCalls(module);
		InitializeCriticalSection(&lock);
	}
	return TRUE;
}

static DWORD ask(enum lab_type type, void *body, uint32_t bytes)
{
	DWORD error = ERROR_GEN_FAILURE;

	EnterCriticalSection(&lock);
	if (link_to_helper == INVALID_SOCKET)
		link_to_helper = lab_connect(LAB_ROLE_IP);
	if (link_to_helper != INVALID_SOCKET)
		error = lab_ask(link_to_helper, type, body, bytes, body, bytes, NULL, NULL);
	LeaveCriticalSection(&lock);
	return error;
}

/* Says on standard error what is wrong with a row, and answers with the code that Windows gives. */
static DWORD wrong(const char *function, const char *what)
{
	fprintf(stderr, "weir stand-in: %s: %s\n", function, what);
	return ERROR_INVALID_PARAMETER;
}

/* The interface's index, from its LUID or else as given; 0 when neither is right. */
static ULONG index_of(const NET_LUID *luid, ULONG index)
{
	NET_IFINDEX found = 0;

	if (luid->Value != 0)
		return ConvertInterfaceLuidToIndex(luid, &found) == NO_ERROR ? found : 0;
	return index;
}

/* 4, 6, or 0 when it is no plain address: with a port, or of another family. Copies it. */
static uint32_t take_address(const SOCKADDR_INET *from, uint8_t to[16])
{
	memset(to, 0, 16);
	if (from->si_family == AF_INET && from->Ipv4.sin_port == 0) {
		memcpy(to, &from->Ipv4.sin_addr, 4);
		return 4;
	}
	if (from->si_family == AF_INET6 && from->Ipv6.sin6_port == 0 && from->Ipv6.sin6_flowinfo == 0) {
		memcpy(to, &from->Ipv6.sin6_addr, 16);
		return 6;
	}
	return 0;
}

static BOOL is_flag(BOOLEAN value)
{
	return value == FALSE || value == TRUE;
}

__declspec(dllexport) void WINAPI InitializeUnicastIpAddressEntry(MIB_UNICASTIPADDRESS_ROW *row)
{
	memset(row, 0, sizeof *row);
	row->PrefixOrigin = ORIGIN_UNCHANGED;
	row->SuffixOrigin = ORIGIN_UNCHANGED;
	row->ValidLifetime = LIFETIME_INFINITE;
	row->PreferredLifetime = LIFETIME_INFINITE;
	row->OnLinkPrefixLength = LENGTH_UNSET;
}

static DWORD change_address(enum lab_type type, const char *function, const MIB_UNICASTIPADDRESS_ROW *row)
{
	struct lab_ip_address body = { .index = index_of(&row->InterfaceLuid, row->InterfaceIndex) };
	uint8_t bits;

	body.family = take_address(&row->Address, body.address);
	bits = body.family == 6 ? 128 : 32;
	if (body.family == 0)
		return wrong(function, "Address is no address, or has a port");
	if (body.index == 0)
		return wrong(function, "neither InterfaceLuid nor InterfaceIndex is an interface");
	if (row->PrefixOrigin > IpPrefixOriginRouterAdvertisement && row->PrefixOrigin != ORIGIN_UNCHANGED)
		return wrong(function, "PrefixOrigin is none");
	if (row->SuffixOrigin > IpSuffixOriginRandom && row->SuffixOrigin != ORIGIN_UNCHANGED)
		return wrong(function, "SuffixOrigin is none");
	if (row->PreferredLifetime > row->ValidLifetime || row->ValidLifetime == 0)
		return wrong(function, "the lifetimes are not initialized");
	if (row->OnLinkPrefixLength > bits && row->OnLinkPrefixLength != LENGTH_UNSET)
		return wrong(function, "OnLinkPrefixLength is too long");
	if (!is_flag(row->SkipAsSource) || row->DadState > IpDadStatePreferred)
		return wrong(function, "SkipAsSource or DadState is none");
	body.prefix = row->OnLinkPrefixLength == LENGTH_UNSET ? bits : row->OnLinkPrefixLength;
	return ask(type, &body, sizeof body);
}

__declspec(dllexport) DWORD WINAPI CreateUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *row)
{
	return change_address(LAB_IP_ADDRESS_ADD, "CreateUnicastIpAddressEntry", row);
}

__declspec(dllexport) DWORD WINAPI DeleteUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *row)
{
	return change_address(LAB_IP_ADDRESS_DELETE, "DeleteUnicastIpAddressEntry", row);
}

__declspec(dllexport) void WINAPI InitializeIpForwardEntry(MIB_IPFORWARD_ROW2 *row)
{
	memset(row, 0, sizeof *row);
	row->SitePrefixLength = LENGTH_UNSET;
	row->ValidLifetime = LIFETIME_INFINITE;
	row->PreferredLifetime = LIFETIME_INFINITE;
	row->Metric = LIFETIME_INFINITE;
	row->Protocol = MIB_IPPROTO_NETMGMT;
	row->Loopback = row->AutoconfigureAddress = row->Publish = row->Immortal = TRUE;
}

/* True when no bit behind the prefix is set. */
static BOOL is_prefix(const uint8_t address[16], unsigned bits, unsigned length)
{
	for (unsigned bit = length; bit < bits; bit++)
		if (address[bit / 8] & (0x80u >> (bit % 8)))
			return FALSE;
	return TRUE;
}

static DWORD change_route(enum lab_type type, const char *function, const MIB_IPFORWARD_ROW2 *row)
{
	struct lab_ip_route body = { .index = index_of(&row->InterfaceLuid, row->InterfaceIndex) };
	unsigned bits;

	body.family = take_address(&row->DestinationPrefix.Prefix, body.destination);
	bits = body.family == 6 ? 128 : 32;
	body.prefix = row->DestinationPrefix.PrefixLength;
	body.metric = row->Metric;
	if (body.family == 0)
		return wrong(function, "DestinationPrefix is no address, or has a port");
	if (body.index == 0)
		return wrong(function, "neither InterfaceLuid nor InterfaceIndex is an interface");
	if (body.prefix > bits || !is_prefix(body.destination, bits, body.prefix))
		return wrong(function, "DestinationPrefix is too long, or has bits behind its length");
	if (take_address(&row->NextHop, body.next_hop) != body.family)
		return wrong(function, "NextHop is not of the destination's family");
	if (type == LAB_IP_ROUTE_DELETE)
		return ask(type, &body, sizeof body);
	if (row->SitePrefixLength > body.prefix && row->SitePrefixLength != LENGTH_UNSET)
		return wrong(function, "SitePrefixLength is longer than the prefix");
	if (row->PreferredLifetime > row->ValidLifetime || row->ValidLifetime == 0)
		return wrong(function, "the lifetimes are not initialized");
	if (row->Metric > 0xFFFF)
		return wrong(function, "Metric is not set");
	if (row->Protocol != MIB_IPPROTO_NETMGMT)
		return wrong(function, "Protocol is not MIB_IPPROTO_NETMGMT");
	if (!is_flag(row->Loopback) || !is_flag(row->AutoconfigureAddress) || !is_flag(row->Publish) || !is_flag(row->Immortal))
		return wrong(function, "a flag is neither TRUE nor FALSE");
	return ask(type, &body, sizeof body);
}

__declspec(dllexport) DWORD WINAPI CreateIpForwardEntry2(const MIB_IPFORWARD_ROW2 *row)
{
	return change_route(LAB_IP_ROUTE_ADD, "CreateIpForwardEntry2", row);
}

__declspec(dllexport) DWORD WINAPI DeleteIpForwardEntry2(const MIB_IPFORWARD_ROW2 *row)
{
	return change_route(LAB_IP_ROUTE_DELETE, "DeleteIpForwardEntry2", row);
}

static void give_address(uint32_t family, const uint8_t from[16], SOCKADDR_INET *to)
{
	memset(to, 0, sizeof *to);
	to->si_family = family == 6 ? AF_INET6 : AF_INET;
	if (family == 6)
		memcpy(&to->Ipv6.sin6_addr, from, 16);
	else
		memcpy(&to->Ipv4.sin_addr, from, 4);
}

/* Wine 10 has a stub of it. */
__declspec(dllexport) DWORD WINAPI GetBestRoute2(NET_LUID *luid, NET_IFINDEX index, const SOCKADDR_INET *source,
                                                 const SOCKADDR_INET *destination, ULONG options,
                                                 MIB_IPFORWARD_ROW2 *route, SOCKADDR_INET *best_source)
{
	struct lab_ip_best body = { .index = luid == NULL ? index : index_of(luid, index) };
	DWORD error;

	(void)options;
	body.family = destination == NULL ? 0 : take_address(destination, body.destination);
	if (body.family == 0 || route == NULL || best_source == NULL)
		return wrong("GetBestRoute2", "DestinationAddress is no address, or there is no room for the answer");
	if (source != NULL && source->si_family != AF_UNSPEC && source->si_family != destination->si_family)
		return wrong("GetBestRoute2", "SourceAddress is not of the destination's family");
	error = ask(LAB_IP_ROUTE_FIND, &body, sizeof body);
	if (error != NO_ERROR)
		return error;
	InitializeIpForwardEntry(route);
	route->InterfaceIndex = body.index;
	ConvertInterfaceIndexToLuid(body.index, &route->InterfaceLuid);
	/* Which prefix led there is not known here: the default route's stands for it. */
	give_address(body.family, (const uint8_t[16]){ 0 }, &route->DestinationPrefix.Prefix);
	route->DestinationPrefix.PrefixLength = 0;
	give_address(body.family, body.next_hop, &route->NextHop);
	route->Metric = 0;
	give_address(body.family, body.source, best_source);
	return NO_ERROR;
}

__declspec(dllexport) void WINAPI InitializeIpInterfaceEntry(MIB_IPINTERFACE_ROW *row)
{
	/* Impossible values, so that what is not set is seen. */
	memset(row, 0xFF, sizeof *row);
	row->Family = AF_UNSPEC;
	row->InterfaceLuid.Value = 0;
	row->InterfaceIndex = 0;
}

/* What a row is about; FALSE when it is about nothing. */
static BOOL key_of(const MIB_IPINTERFACE_ROW *row, struct lab_ip_interface *body)
{
	body->index = index_of(&row->InterfaceLuid, row->InterfaceIndex);
	body->family = row->Family == AF_INET ? 4 : row->Family == AF_INET6 ? 6 : 0;
	return body->index != 0 && body->family != 0;
}

__declspec(dllexport) DWORD WINAPI GetIpInterfaceEntry(MIB_IPINTERFACE_ROW *row)
{
	struct lab_ip_interface body = { 0 };
	MIB_IPINTERFACE_ROW found = { 0 };
	DWORD error;

	if (!key_of(row, &body))
		return wrong("GetIpInterfaceEntry", "Family or interface is none");
	error = ask(LAB_IP_INTERFACE_GET, &body, sizeof body);
	if (error != NO_ERROR)
		return error;
	found.Family = row->Family;
	found.InterfaceIndex = body.index;
	ConvertInterfaceIndexToLuid(body.index, &found.InterfaceLuid);
	found.UseAutomaticMetric = (BOOLEAN)body.is_automatic;
	found.UseNeighborUnreachabilityDetection = TRUE;
	found.RouterDiscoveryBehavior = (NL_ROUTER_DISCOVERY_BEHAVIOR)body.router_discovery;
	found.DadTransmits = body.dad_transmits;
	/* For IPv4 too, though SetIpInterfaceEntry does not take it back: as Windows does. */
	found.SitePrefixLength = 64;
	found.Metric = body.metric;
	found.NlMtu = body.mtu;
	found.Connected = TRUE;
	*row = found;
	return NO_ERROR;
}

__declspec(dllexport) DWORD WINAPI SetIpInterfaceEntry(MIB_IPINTERFACE_ROW *row)
{
	struct lab_ip_interface body = { .metric = row->Metric, .is_automatic = row->UseAutomaticMetric, .mtu = row->NlMtu,
		                         .dad_transmits = row->DadTransmits,
		                         .router_discovery = (uint32_t)row->RouterDiscoveryBehavior };

	if (!key_of(row, &body))
		return wrong("SetIpInterfaceEntry", "Family or interface is none");
	if (row->Family == AF_INET && row->SitePrefixLength != 0)
		return wrong("SetIpInterfaceEntry", "SitePrefixLength is not 0, as it has to be for IPv4");
	if (row->Family == AF_INET6 && row->SitePrefixLength > 128)
		return wrong("SetIpInterfaceEntry", "SitePrefixLength is longer than an address");
	if (!is_flag(row->UseAutomaticMetric) || !is_flag(row->AdvertisingEnabled) || !is_flag(row->ForwardingEnabled) ||
	    !is_flag(row->WeakHostSend) || !is_flag(row->WeakHostReceive) || !is_flag(row->DisableDefaultRoutes) ||
	    !is_flag(row->ManagedAddressConfigurationSupported) || !is_flag(row->OtherStatefulConfigurationSupported))
		return wrong("SetIpInterfaceEntry", "a flag is neither TRUE nor FALSE: was the row read first?");
	if (body.router_discovery > 2 || row->Metric > 0xFFFF || row->DadTransmits > 0xFFFF)
		return wrong("SetIpInterfaceEntry", "RouterDiscoveryBehavior, Metric or DadTransmits is out of range");
	return ask(LAB_IP_INTERFACE_SET, &body, sizeof body);
}

/* True when every word is an address of that version. */
static BOOL are_addresses(const char *text, uint32_t family)
{
	char copy[LAB_SERVERS_MAX];

	strcpy(copy, text);
	for (char *word = strtok(copy, ", "); word != NULL; word = strtok(NULL, ", ")) {
		uint8_t address[16];

		if (inet_pton(family == 6 ? AF_INET6 : AF_INET, word, address) != 1)
			return FALSE;
	}
	return TRUE;
}

__declspec(dllexport) DWORD WINAPI SetInterfaceDnsSettings(GUID guid, const struct dns_settings *settings)
{
	struct lab_ip_dns body = { .flags = settings->flags, .family = settings->flags & DNS_FLAG_IPV6 ? 6 : 4 };

	if (settings->version != DNS_VERSION_1)
		return wrong("SetInterfaceDnsSettings", "Version is not 1");
	if (settings->flags & ~(ULONG64)DNS_FLAGS_KNOWN)
		return wrong("SetInterfaceDnsSettings", "Flags has bits that mean nothing");
	memcpy(body.guid, &guid, sizeof body.guid);
	if (!(settings->flags & DNS_FLAG_NAMESERVER))
		return NO_ERROR;
	if (settings->name_server != NULL &&
	    WideCharToMultiByte(CP_UTF8, 0, settings->name_server, -1, body.servers, LAB_SERVERS_MAX, NULL, NULL) == 0)
		return wrong("SetInterfaceDnsSettings", "NameServer is no text");
	if (!are_addresses(body.servers, body.family))
		return wrong("SetInterfaceDnsSettings", "NameServer has something that is no address of the family in Flags");
	return ask(LAB_IP_DNS_SET, &body, sizeof body);
}

/* The caller frees what it gets with FreeInterfaceDnsSettings. */
__declspec(dllexport) DWORD WINAPI GetInterfaceDnsSettings(GUID guid, struct dns_settings *settings)
{
	struct lab_ip_dns body = { .family = settings->flags & DNS_FLAG_IPV6 ? 6 : 4 };
	ULONG version = settings->version;
	DWORD error;

	if (version != DNS_VERSION_1)
		return wrong("GetInterfaceDnsSettings", "Version is not 1");
	memcpy(body.guid, &guid, sizeof body.guid);
	error = ask(LAB_IP_DNS_GET, &body, sizeof body);
	if (error != NO_ERROR)
		return error;
	memset(settings, 0, sizeof *settings);
	settings->version = version;
	settings->flags = body.servers[0] == 0 ? 0 : DNS_FLAG_NAMESERVER;
	settings->name_server = LocalAlloc(LPTR, LAB_SERVERS_MAX * sizeof(WCHAR));
	MultiByteToWideChar(CP_UTF8, 0, body.servers, -1, settings->name_server, LAB_SERVERS_MAX);
	return NO_ERROR;
}

__declspec(dllexport) void WINAPI FreeInterfaceDnsSettings(struct dns_settings *settings)
{
	LocalFree(settings->name_server);
	settings->name_server = NULL;
}
