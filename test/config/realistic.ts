/** Configurations as people write them, with everything that those files have and weir does not use. */

/** A subscription's configuration with groups, in flow style. */
export const SUBSCRIPTION = `mixed-port: 7890
allow-lan: true
bind-address: '*'
mode: rule
log-level: info
external-controller: '127.0.0.1:9090'
secret: "s3cret"
external-ui: ui
unified-delay: true
tcp-concurrent: true
find-process-mode: strict
global-client-fingerprint: chrome
geodata-mode: true
geo-auto-update: false
geo-update-interval: 24
geox-url:
    geoip: "https://downloads.example/geoip.dat"
    mmdb: "https://downloads.example/country.mmdb"
profile: { store-selected: true, store-fake-ip: true }
experimental: { quic-go-disable-gso: false }
ntp: { enable: false, server: time.example, port: 123, interval: 30 }
dns:
    enable: true
    cache-algorithm: arc
    prefer-h3: false
    listen: 0.0.0.0:1053
    ipv6: true
    respect-rules: true
    default-nameserver: [223.5.5.5, 119.29.29.29, 'tls://1.1.1.1:853', system]
    enhanced-mode: fake-ip
    fake-ip-range: 198.18.0.1/16
    use-hosts: true
    fake-ip-filter: ['*.lan', '+.local', 'time.*.com', 'stun.*.*.*', '+.stun.*.*', localhost.example, '*', 'Mijia Cloud']
    nameserver: ['https://doh.example/dns-query', 'https://1.12.12.12/dns-query#office&h3=true', 'quic://dns.example:784', 'dhcp://en0']
    proxy-server-nameserver: ['https://doh.example/dns-query', '[2620:fe::fe]:9953', 2620:fe::9]
    direct-nameserver: [system]
    fallback: ['https://dns.example/dns-query', 'tls://8.8.4.4:853', 'tcp://1.1.1.1', 'rcode://success']
    fallback-filter: { geoip: true, geoip-code: CN, ipcidr: [240.0.0.0/4, 0.0.0.0/32], domain: ['+.example.com'], geosite: [gfw] }
    nameserver-policy: { '+.corp.example': 10.0.0.53, 'a.example,b.example': [223.5.5.5, 'tls://dns.example'] }
proxies:
    - { name: '🇭🇰 HK 01', type: ss, server: hk.example.net, port: 443, cipher: aes-128-gcm, password: p4ssword, udp: true }
    - { name: "🇯🇵 JP 01", type: trojan, server: jp.example.net, port: '443', password: 123456, udp: true, sni: a.example, skip-cert-verify: true }
    - {name: 🇺🇸 US 01, server: us.example.net, port: 8443, type: vmess, uuid: 5f1d7b1e-0000-4000-8000-000000000000, alterId: 0, cipher: auto, tls: true, network: ws, ws-opts: {path: /ws, headers: {Host: us.example.net}}}
    - {name: "US 02", type: vless, server: us2.example.net, port: 443, uuid: 5f1d7b1e-0000-4000-8000-000000000000, flow: xtls-rprx-vision, network: tcp, tls: true, udp: true, servername: www.example.com, reality-opts: {public-key: abc, short-id: 0123}, client-fingerprint: chrome}
    - {name: hy2, type: hysteria2, server: hy.example.net, ports: 20000-30000, password: x, obfs: salamander, obfs-password: y, up: 50 Mbps, down: 100 Mbps}
    - {name: wg, type: wireguard, server: wg.example.net, port: 51820, ip: 172.16.0.2, private-key: k, public-key: k, udp: true, reserved: [1, 2, 3], dialer-proxy: "🇭🇰 HK 01"}
    - {name: home, type: socks5, server: 192.168.1.2, port: 1080, username: u, password: p}
    - {name: dns-out, type: dns}
proxy-groups:
    - { name: office, type: select, proxies: [auto, balance, '🇭🇰 HK 01', home, DIRECT, REJECT] }
    - { name: auto, type: url-test, include-all-proxies: true, filter: "(?i)hk|jp|us", exclude-filter: "01$", exclude-type: "trojan|Http", url: 'http://www.gstatic.com/generate_204', interval: 86400, tolerance: 50 }
    - { name: balance, type: load-balance, strategy: round-robin, include-all: true, filter: '^(?!.*(JP|US)).*$', url: 'http://cp.example/generate_204', interval: 300, lazy: false, expected-status: 200/204-206 }
    - { name: backup, type: fallback, proxies: [office, DIRECT], disable-udp: true, max-failed-times: 3, timeout: 2000, hidden: true, icon: 'https://icons.example/a.png' }
rules:
    - 'DOMAIN,instant.example.com,DIRECT'
    - 'DOMAIN-SUFFIX,example.org,office'
    - 'DOMAIN-KEYWORD,ads,REJECT'
    - 'DOMAIN-REGEX,^ads?[0-9]{1,3}\\.,REJECT-DROP'
    - IP-CIDR,10.0.0.0/8,DIRECT,no-resolve
    - IP-CIDR6,fd00::/8,DIRECT,no-resolve
    - PROCESS-NAME,curl.exe,backup
    - AND,((NETWORK,UDP),(DST-PORT,443)),REJECT
    - NOT,((NETWORK,TCP)),PASS
    - GEOIP,LAN,DIRECT,no-resolve
    - MATCH,office
`;

/** A hand-written configuration in block style with anchors, providers and a TUN device. */
export const HANDMADE = `# my machine
port: 0
socks-port: 0
ipv6: no

tun:
  enable: yes
  stack: mixed
  device: weir0
  dns-hijack:
    - any:53
    - tcp://any:53
    - "[fd00::1]:53"
  auto-route: true
  auto-redirect: true
  auto-detect-interface: true
  strict-route: true
  mtu: 1500
  udp-timeout: 300
  inet6-address: [fdfe:dcba:9876::1/126]
  route-exclude-address: [192.168.0.0/16, fc00::/7, 203.0.113.9]
  endpoint-independent-nat: false

sniffer:
  enable: true
  force-dns-mapping: true
  parse-pure-ip: true
  override-destination: false
  sniff:
    HTTP:
      ports: [80, 8080-8880]
      override-destination: true
    TLS: { ports: [443, 8443] }
    QUIC:
  force-domain: [+.v2ex.example]
  skip-domain:
    - "Mijia Cloud"
    - "+.push.apple.example"
    - rule-set:private
  skip-src-address: [192.168.0.3/32]
  skip-dst-address: [192.168.0.3, 'rule-set:lan']

hosts:
  router.home: 192.168.1.1
  '*.dev.example': [127.0.0.1, "::1"]
  alias.example: router.home

.health: &health
  type: url-test
  url: http://cp.example/generate_204
  interval: 300

proxy-providers:
  file:
    type: file
    path: ./proxies/list.yaml
    health-check: { enable: true, url: http://cp.example/generate_204, interval: 600, lazy: true }
    filter: "HK|SG"
    override: { additional-prefix: "[p] ", udp: true }
  own:
    type: inline
    payload:
      - {name: inline-1, type: http, server: 192.0.2.1, port: 3128}

proxy-groups:
  - name: pick
    type: select
    proxies:
      - fast
      - DIRECT
    use: [own]
  - name: fast
    <<: *health
    use:
      - file
      - own
    tolerance: 30
  - {name: GLOBAL, type: select, proxies: [pick, DIRECT]}

rule-providers:
  private: {type: file, behavior: domain, format: text, path: lists/private.txt}
  lan:
    type: file
    behavior: ipcidr
    path: "./lists/lan.yaml"
    interval: 86400
  apps:
    type: inline
    behavior: classical
    payload:
      - PROCESS-NAME,frpc
      - 'DST-PORT,22/8000-9000'

sub-rules:
  udp-only:
    - DST-PORT,53,DIRECT
    - MATCH,pick

rules:
  - RULE-SET,private,DIRECT
  - RULE-SET,lan,DIRECT,no-resolve
  - OR,((RULE-SET,apps),(DOMAIN,apps.example)),pick
  - SUB-RULE,(NETWORK,udp),udp-only
  - SRC-IP-CIDR,192.168.1.201/32,DIRECT
  - "MATCH,pick"

weir:
  policy: policy.ts
  divert:
    filter: outbound and (tcp or udp) and not loopback
    mode: redirect
`;

/** The files that HANDMADE names, beside a configuration in \`/etc/weir\`. */
export const HANDMADE_FILES: Readonly<Record<string, string>> = {
  "/etc/weir/config.yaml": HANDMADE,
  "/etc/weir/lists/private.txt": "# names\n+.lan\nrouter.asus.example\n",
  "/etc/weir/lists/lan.yaml": "payload:\n  - '10.0.0.0/8'\n  - 192.168.0.0/16\n  - 'fc00::/7'\n",
  "/etc/weir/proxies/list.yaml": `proxies:
  - {name: HK 1, type: ss, server: 192.0.2.10, port: 443, cipher: aes-256-gcm, password: x, udp: true}
  - {name: US 1, type: ss, server: 192.0.2.11, port: 443, cipher: aes-256-gcm, password: x}
  - {name: SG 1, type: trojan, server: 192.0.2.12, port: 443, password: x}
`,
};

/** The smallest that decides anything. */
export const TINY = `rules: ["MATCH,DIRECT"]\n`;
