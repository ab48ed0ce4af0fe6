// SPDX-License-Identifier: GPL-2.0-or-later
#include "flows.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t";

enum key {
	KEY_IN,
	KEY_OUT,
	KEY_PROTO,
	KEY_FROM,
	KEY_TO,
	KEY_ETH_SRC,
	KEY_ETH_DST,
	N_REQUIRED,
	KEY_NEW_FROM = N_REQUIRED,
	KEY_NEW_TO,
	KEY_VLAN_IN,
	KEY_VLAN_OUT,
	KEY_MTU,
	N_KEYS,
};

static const char *const key_names[N_KEYS] = {
	[KEY_IN] = "in",
	[KEY_OUT] = "out",
	[KEY_PROTO] = "proto",
	[KEY_FROM] = "from",
	[KEY_TO] = "to",
	[KEY_ETH_SRC] = "eth-src",
	[KEY_ETH_DST] = "eth-dst",
	[KEY_NEW_FROM] = "new-from",
	[KEY_NEW_TO] = "new-to",
	[KEY_VLAN_IN] = "vlan-in",
	[KEY_VLAN_OUT] = "vlan-out",
	[KEY_MTU] = "mtu",
};

struct parse {
	const struct dp_conf *conf;
	struct flows *flows;
	unsigned int number; // of the line
	char buf[FLOWS_LINE_MAX + 1];
	char *value[N_KEYS]; // of this line, in 'buf'; NULL where it has none
	bool reply;
	char *err;
	size_t err_size;
};

static int __attribute__((format(printf, 2, 3))) fail(const struct parse *p, const char *fmt, ...)
{
	const int n = snprintf(p->err, p->err_size, "%s:%u: ", p->flows->file, p->number);
	va_list args;

	va_start(args, fmt);
	if (n >= 0 && (size_t)n < p->err_size)
		vsnprintf(p->err + n, p->err_size - (size_t)n, fmt, args);
	va_end(args);
	return -1;
}

static int bad_value(const struct parse *p, enum key key, const char *expected)
{
	return fail(p, "%s=%.80s, expected %s", key_names[key], p->value[key], expected);
}

// --- values ---

// A whole number in decimal without sign, at most 'max'.
static bool parse_number(const char *text, unsigned long max, uint16_t *number)
{
	unsigned long value = 0;

	if (*text == '\0' || strlen(text) > 5 || strspn(text, "0123456789") != strlen(text))
		return false;
	value = strtoul(text, NULL, 10);
	*number = (uint16_t)value;
	return value <= max;
}

static int set_port(const struct parse *p, enum key key, uint16_t *port)
{
	for (unsigned int i = 0; i < p->conf->n_ports; i++) {
		if (strcmp(p->conf->port[i].name, p->value[key]) == 0) {
			*port = (uint16_t)i;
			return 0;
		}
	}
	return bad_value(p, key, "the name of a [port] of the configuration");
}

static int set_proto(const struct parse *p, uint8_t *proto)
{
	*proto = nfo_proto_parse(p->value[KEY_PROTO]);
	return *proto != 0 ? 0 : bad_value(p, KEY_PROTO, "tcp, udp or gre");
}

// Cuts ":PORT" off, if there has to be one. Changes 'text'.
static bool cut_l4_port(char *text, uint8_t proto, uint16_t *port_be)
{
	char *colon = strrchr(text, ':');
	uint16_t port;

	*port_be = 0;
	if (proto == NFO_GRE)
		return true;
	if (colon == NULL || !parse_number(colon + 1, UINT16_MAX, &port))
		return false;
	*colon = '\0';
	*port_be = htons(port);
	return true;
}

static bool parse_address(char *text, uint8_t *family, union nfo_addr *addr)
{
	const size_t len = strlen(text);

	memset(addr, 0, sizeof(*addr));
	*family = NFO_IPV4;
	if (len == 0 || text[0] != '[')
		return inet_pton(AF_INET, text, addr->bytes) == 1;
	if (text[len - 1] != ']')
		return false;
	text[len - 1] = '\0';
	*family = NFO_IPV6;
	return inet_pton(AF_INET6, text + 1, addr->bytes) == 1;
}

// 'family' of 0 is set, another one is required.
static int set_end(const struct parse *p, enum key key, struct nfo_tuple *tuple,
	union nfo_addr *addr, uint16_t *port_be)
{
	char text[64];
	uint8_t family;

	snprintf(text, sizeof(text), "%s", p->value[key]);
	if (strlen(p->value[key]) >= sizeof(text) || !cut_l4_port(text, tuple->proto, port_be)
		|| !parse_address(text, &family, addr))
		return bad_value(p, key,
			tuple->proto == NFO_GRE ? "10.0.0.1 or [fd00::1]"
						: "10.0.0.1:80 or [fd00::1]:80");
	if (tuple->family != 0 && tuple->family != family)
		return bad_value(p, key, "an address of the same family as 'from'");
	tuple->family = family;
	return 0;
}

static int set_tuples(const struct parse *p, struct nfo_flow *flow)
{
	struct nfo_tuple *match = &flow->match, *out = &flow->out;

	if (set_proto(p, &match->proto) < 0
		|| set_end(p, KEY_FROM, match, &match->src, &match->sport_be) < 0
		|| set_end(p, KEY_TO, match, &match->dst, &match->dport_be) < 0)
		return -1;
	*out = *match;
	if (p->value[KEY_NEW_FROM] != NULL
		&& set_end(p, KEY_NEW_FROM, out, &out->src, &out->sport_be) < 0)
		return -1;
	if (p->value[KEY_NEW_TO] != NULL
		&& set_end(p, KEY_NEW_TO, out, &out->dst, &out->dport_be) < 0)
		return -1;
	return 0;
}

static bool parse_vlans(char *text, struct nfo_vlan vlan[NFO_MAX_VLANS])
{
	char *rest = text, *tag;

	for (unsigned int i = 0; (tag = strsep(&rest, ",")) != NULL; i++) {
		const bool ad = strncmp(tag, "ad:", 3) == 0;
		uint16_t vid;

		if (i == NFO_MAX_VLANS || !parse_number(ad ? tag + 3 : tag, 4094, &vid) || vid == 0)
			return false;
		vlan[i] = (struct nfo_vlan){htons(ad ? 0x88a8 : 0x8100), vid};
	}
	return true;
}

static int set_vlans(const struct parse *p, enum key key, struct nfo_vlan vlan[NFO_MAX_VLANS])
{
	char text[32];

	if (p->value[key] == NULL)
		return 0;
	snprintf(text, sizeof(text), "%s", p->value[key]);
	if (strlen(p->value[key]) < sizeof(text) && parse_vlans(text, vlan))
		return 0;
	return bad_value(p, key, "one VLAN id or two, outermost first: 100, ad:100 or ad:200,100");
}

static int set_mac(const struct parse *p, enum key key, uint8_t mac[NFO_ETH_ALEN])
{
	const char *text = p->value[key];

	for (int i = 0; i < NFO_ETH_ALEN; i++, text += 3) {
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1])
			|| text[2] != (i == NFO_ETH_ALEN - 1 ? '\0' : ':'))
			return bad_value(p, key, "a MAC address: 02:00:00:00:00:01");
		mac[i] = (uint8_t)strtoul(text, NULL, 16);
	}
	return 0;
}

static int set_mtu(const struct parse *p, uint16_t *mtu)
{
	enum { DEFAULT = 1500, LOWEST = 68 }; // RFC 791

	*mtu = DEFAULT;
	if (p->value[KEY_MTU] == NULL)
		return 0;
	if (parse_number(p->value[KEY_MTU], UINT16_MAX, mtu) && *mtu >= LOWEST)
		return 0;
	return bad_value(p, KEY_MTU, "68 to 65535 bytes");
}

// --- lines ---

static int add_word(struct parse *p, char *word)
{
	char *equals = strchr(word, '=');

	if (equals == NULL) {
		if (strcmp(word, "reply") != 0 || p->reply)
			return fail(p, "'%.80s', expected KEY=VALUE or 'reply' once", word);
		p->reply = true;
		return 0;
	}
	*equals = '\0';
	for (int key = 0; key < N_KEYS; key++) {
		if (strcmp(key_names[key], word) != 0)
			continue;
		if (p->value[key] != NULL)
			return fail(p, "'%s' again, expected it once in a line", word);
		p->value[key] = equals + 1;
		return 0;
	}
	return fail(p,
		"unknown key '%.80s', expected in, out, proto, from, to, new-from, new-to, "
		"vlan-in, vlan-out, eth-src, eth-dst or mtu",
		word);
}

// Splits 'buf' into values. Returns 1 for a line with words, 0 for one without, or -1.
static int split(struct parse *p)
{
	char *rest = p->buf, *word;
	int any = 0;

	memset(p->value, 0, sizeof(p->value));
	p->reply = false;
	while ((word = strsep(&rest, blanks)) != NULL && *word != '#') {
		if (*word == '\0')
			continue;
		if (add_word(p, word) < 0)
			return -1;
		any = 1;
	}
	return any;
}

static int check_reply(const struct parse *p)
{
	const struct flows *flows = p->flows;

	if (!p->reply || (flows->n > 0 && !flows->lines[flows->n - 1].reply))
		return 0;
	return fail(p, "'reply' to nothing, expected it behind the line of the other direction");
}

static int build(const struct parse *p, struct nfo_flow *flow)
{
	for (int key = 0; key < N_REQUIRED; key++)
		if (p->value[key] == NULL)
			return fail(p, "no '%s', expected %s=...", key_names[key], key_names[key]);
	*flow = (struct nfo_flow){.mtu = 0};
	if (set_port(p, KEY_IN, &flow->in_port) < 0 || set_port(p, KEY_OUT, &flow->out_port) < 0
		|| set_tuples(p, flow) < 0 || set_vlans(p, KEY_VLAN_IN, flow->in_vlan) < 0
		|| set_vlans(p, KEY_VLAN_OUT, flow->out_vlan) < 0
		|| set_mac(p, KEY_ETH_SRC, flow->eth_src) < 0
		|| set_mac(p, KEY_ETH_DST, flow->eth_dst) < 0 || set_mtu(p, &flow->mtu) < 0)
		return -1;
	return check_reply(p);
}

static struct flows_line *new_line(struct flows *flows)
{
	if (flows->n == flows->room) {
		const size_t room = flows->room != 0 ? 2 * flows->room : 64;
		struct flows_line *lines = reallocarray(flows->lines, room, sizeof(*lines));

		if (lines == NULL)
			return NULL;
		flows->lines = lines;
		flows->room = room;
	}
	return &flows->lines[flows->n];
}

static int parse_line(struct parse *p)
{
	struct flows_line *line;
	int ret = split(p);

	if (ret <= 0)
		return ret;
	line = new_line(p->flows);
	if (line == NULL)
		return fail(p, "%s, expected fewer lines", strerror(ENOMEM));
	line->number = p->number;
	line->reply = p->reply;
	ret = build(p, &line->flow);
	if (ret == 0)
		p->flows->n++;
	return ret;
}

// Copies a line to 'buf', checked.
static int read_line(struct parse *p, const char *line, size_t len)
{
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len > FLOWS_LINE_MAX)
		return fail(p, "a line of %zu bytes, expected at most %d", len, FLOWS_LINE_MAX);
	for (size_t i = 0; i < len; i++) {
		const unsigned char c = (unsigned char)line[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return fail(p, "a control character (0x%02x), expected text and tabs", c);
	}
	memcpy(p->buf, line, len);
	p->buf[len] = '\0';
	return 0;
}

int flows_parse(const char *name, const char *text, size_t len, const struct dp_conf *conf,
	struct flows *flows, char *err, size_t err_size)
{
	struct parse p = {.conf = conf, .flows = flows, .err = err, .err_size = err_size};
	const char *pos = text, *end = text + len;

	*flows = (struct flows){.file = strdup(name)};
	if (flows->file == NULL) {
		snprintf(err, err_size, "%s: %s", name, strerror(ENOMEM));
		return -1;
	}
	while (pos < end) {
		const char *eol = memchr(pos, '\n', (size_t)(end - pos));
		const size_t n = (size_t)((eol != NULL ? eol : end) - pos);

		p.number++;
		if (read_line(&p, pos, n) < 0 || parse_line(&p) < 0) {
			flows_fini(flows);
			return -1;
		}
		pos = eol != NULL ? eol + 1 : end;
	}
	return 0;
}

// The whole file in memory, or NULL with errno.
static char *read_file(const char *path, size_t *len)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;
	int error = 0;

	if (file == NULL)
		return NULL;
	*len = 0;
	do {
		char *more = realloc(text, room += 1 << 16);

		if (more == NULL) {
			error = ENOMEM;
			break;
		}
		text = more;
		*len += fread(text + *len, 1, room - *len, file);
		error = ferror(file) ? errno : 0;
	} while (error == 0 && *len == room);
	fclose(file);
	if (error == 0)
		return text;
	free(text);
	errno = error;
	return NULL;
}

int flows_load(const char *path, const struct dp_conf *conf, struct flows *flows, char *err,
	size_t err_size)
{
	size_t len;
	char *text = read_file(path, &len);
	int ret;

	*flows = (struct flows){.n = 0};
	if (text == NULL) {
		snprintf(err, err_size, "%s: %s", path, strerror(errno));
		return -1;
	}
	ret = flows_parse(path, text, len, conf, flows, err, err_size);
	free(text);
	return ret;
}

void flows_fini(struct flows *flows)
{
	free(flows->file);
	free(flows->lines);
	*flows = (struct flows){.n = 0};
}

// --- into the dataplane ---

static const char *install_error(int error)
{
	switch (error) {
	case -EEXIST:
		return "its packets are those of a line before, expected others";
	case -ENOSPC:
		return "the table is full, expected fewer lines or more 'max-connections' in "
		       "[global]";
	default:
		return "the dataplane cannot forward that, expected another flow";
	}
}

int flows_install(const struct flows *flows, char *err, size_t err_size)
{
	uint32_t idx = DP_FLOW_NONE, cookie = UINT32_MAX;

	for (size_t i = 0; i < flows->n; i++) {
		const struct flows_line *line = &flows->lines[i];
		int ret;

		cookie += !line->reply;
		ret = dp_flow_add(&line->flow, line->reply ? idx : DP_FLOW_NONE, cookie, &idx);
		if (ret < 0) {
			snprintf(err, err_size, "%s:%u: %s", flows->file, line->number,
				install_error(ret));
			return -1;
		}
	}
	return 0;
}
