// SPDX-License-Identifier: GPL-2.0-or-later
#include "conf_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"

static const char *const yes_no[] = {"no", "yes", NULL};
static const char *const twins[] = {"auto", "tap", "virtio-user", NULL}; // enum dp_twin
static const char *const levels[] = {"error", "warning", "notice", "info", "debug", NULL};

#define GLOBAL(field) .offset = offsetof(struct conf, field)
#define PORT(field) .offset = offsetof(struct dp_port_conf, field)

// clang-format off
const struct conf_section conf_sections[CONF_N_SECTIONS] = {
	[CONF_GLOBAL] = {.name = "global", .n_keys = 9, .keys = {
		{"socket", "/run/dpdk-nftoffload/ctl.sock", "an absolute path of at most 107 bytes",
			.type = CONF_PATH, .max = 107, .reload = CONF_RESTART, GLOBAL(socket)},
		{"log-level", "info", .type = CONF_WORD, .words = levels, .reload = CONF_LIVE,
			GLOBAL(log_level)},
		{"max-connections", "65536", .type = CONF_U32, .min = 1, .max = 16777216,
			.reload = CONF_RESTART, GLOBAL(dp.max_connections)},
		{"mbufs", "0", .type = CONF_U32, .min = 1024, .max = 16777215, .zero = true,
			.reload = CONF_RESTART, GLOBAL(dp.mbufs)},
		{"idle-sleep-us", "50", .type = CONF_U32, .max = 10000, .reload = CONF_LIVE,
			GLOBAL(dp.idle_sleep_us)},
		{"dump-interval-ms", "1000", .type = CONF_U32, .min = 100, .max = 60000,
			.reload = CONF_LIVE, GLOBAL(dump_interval_ms)},
		{"tcp-idle-s", "0", .type = CONF_U32, .max = 32768, .reload = CONF_LIVE,
			GLOBAL(tcp_idle_s)},
		{"udp-idle-s", "0", .type = CONF_U32, .max = 32768, .reload = CONF_LIVE,
			GLOBAL(udp_idle_s)},
		{"netlink-buffer-kb", "0", .type = CONF_U32, .min = 4, .max = 1048576,
			.zero = true, .reload = CONF_RESTART, GLOBAL(netlink_buffer_kb)},
	}},
	[CONF_PORT] = {.name = "port", .named = true, .n_keys = 11, .keys = {
		{"device", NULL, "a DPDK device of at most 511 bytes, such as 0000:03:00.0",
			.type = CONF_TEXT, .max = 511, .reload = CONF_RESTART, PORT(device)},
		{"twin", "auto", .type = CONF_WORD, .words = twins, .reload = CONF_RESTART,
			PORT(twin)},
		{"persist", "yes", .type = CONF_BOOL, .words = yes_no, .reload = CONF_RESTART,
			PORT(persist)},
		{"promiscuous", "yes", .type = CONF_BOOL, .words = yes_no, .reload = CONF_LIVE,
			PORT(promiscuous)},
		{"mtu", "0", .type = CONF_U16, .min = 68, .max = 9710, .zero = true,
			.reload = CONF_LIVE, PORT(mtu)},
		{"rx-desc", "512", .type = CONF_U16, .min = 64, .max = 32768, .reload = CONF_RESTART,
			PORT(rx_desc)},
		{"tx-desc", "512", .type = CONF_U16, .min = 64, .max = 32768, .reload = CONF_RESTART,
			PORT(tx_desc)},
		{"rx-queues", "0", .type = CONF_U16, .max = 64, .reload = CONF_RESTART,
			PORT(rx_queues)},
		{"punt-control-pps", "20000", .type = CONF_U32, .min = 100, .max = 10000000,
			.zero = true, .reload = CONF_LIVE, PORT(punt_pps[DP_PUNT_CONTROL])},
		{"punt-new-pps", "200000", .type = CONF_U32, .min = 100, .max = 10000000,
			.zero = true, .reload = CONF_LIVE, PORT(punt_pps[DP_PUNT_NEW])},
		{"punt-rest-pps", "0", .type = CONF_U32, .min = 100, .max = 10000000,
			.zero = true, .reload = CONF_LIVE, PORT(punt_pps[DP_PUNT_REST])},
	}},
	[CONF_FLOWTABLE] = {.name = "flowtable", .named = true, .n_keys = 2, .keys = {
		{"devices", NULL, "names of [port] sections, such as 'lan, wan'",
			.type = CONF_DEVICES, .reload = CONF_LIVE},
		{"mark", NULL, "VALUE/MASK with a mask that is not 0 and a value within it, such as "
			"0x1/0x1", .type = CONF_MARK, .reload = CONF_LIVE},
	}},
};
// clang-format on

_Static_assert(sizeof(((struct conf *)0)->socket) == 108, "the table's max");
_Static_assert(sizeof(((struct dp_port_conf *)0)->device) == 512, "the table's max");
_Static_assert(sizeof(enum dp_twin) == sizeof(int) && sizeof(enum log_level) == sizeof(int),
	"set_word() writes an int");

const struct conf_key *conf_key_find(const struct conf_section *section, const char *name)
{
	for (unsigned int i = 0; i < section->n_keys; i++) {
		if (strcmp(section->keys[i].name, name) == 0)
			return &section->keys[i];
	}
	return NULL;
}

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int min = a < b ? a : b;

	return min < c ? min : c;
}

// Levenshtein's distance; 'b' is a name of the tables.
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[32];
	size_t len = strlen(b);

	for (unsigned int j = 0; j <= len; j++)
		row[j] = j;
	for (unsigned int i = 0; a[i] != '\0'; i++) {
		unsigned int diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			unsigned int above = row[j + 1];

			row[j + 1] = min3(row[j] + 1, above + 1, diagonal + (a[i] != b[j]));
			diagonal = above;
		}
	}
	return row[len];
}

const struct conf_key *conf_key_nearest(const struct conf_section *section, const char *name)
{
	const struct conf_key *nearest = NULL;
	unsigned int best = strlen(name) > 4 ? 3 : 2; // farther ones are something else

	for (unsigned int i = 0; i < section->n_keys; i++) {
		unsigned int d = distance(name, section->keys[i].name);

		if (d < best) {
			best = d;
			nearest = &section->keys[i];
		}
	}
	return nearest;
}

static void describe(const struct conf_key *key, char *text, size_t size)
{
	size_t len;

	if (key->expected) {
		snprintf(text, size, "%s", key->expected);
	} else if (!key->words) {
		snprintf(text, size, "%sa number from %u to %u", key->zero ? "0 or " : "", key->min,
			key->max);
	} else {
		snprintf(text, size, "%s", key->words[0]);
		for (const char *const *w = key->words + 1; *w; w++) {
			len = strlen(text);
			snprintf(text + len, size - len, "%s%s", w[1] ? ", " : " or ", *w);
		}
	}
}

static int refuse(const struct ini *ini, const struct conf_key *key, const char *value)
{
	char expected[128];

	describe(key, expected, sizeof(expected));
	return ini_error_at(
		ini, ini->line, "%s = '%.80s', expected %s", key->name, value, expected);
}

// Decimal, or hexadecimal after 0x where 'hex' permits. Returns where the number ends, or NULL.
static const char *number(const char *s, bool hex, uint32_t *n)
{
	int base = hex && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10;
	const char *digits = base == 16 ? "0123456789abcdefABCDEF" : "0123456789";
	const char *first = base == 16 ? s + 2 : s;
	size_t len = strspn(first, digits);
	unsigned long long value;

	if (len == 0 || len > 18)
		return NULL;
	value = strtoull(first, NULL, base);
	if (value > UINT32_MAX)
		return NULL;
	*n = (uint32_t)value;
	return first + len;
}

static bool set_number(const struct conf_key *key, const char *value, void *at)
{
	const char *end;
	uint32_t n;

	end = number(value, false, &n);
	if (!end || *end != '\0')
		return false;
	if ((n < key->min || n > key->max) && !(n == 0 && key->zero))
		return false;
	if (key->type == CONF_U16)
		*(uint16_t *)at = (uint16_t)n;
	else
		*(uint32_t *)at = n;
	return true;
}

static bool set_word(const struct conf_key *key, const char *value, void *at)
{
	for (int i = 0; key->words[i]; i++) {
		if (strcmp(key->words[i], value) != 0)
			continue;
		if (key->type == CONF_BOOL)
			*(bool *)at = i == 1;
		else
			*(int *)at = i;
		return true;
	}
	return false;
}

static bool set_text(const struct conf_key *key, const char *value, char *at)
{
	if (strlen(value) > key->max || (key->type == CONF_PATH && value[0] != '/'))
		return false;
	strcpy(at, value);
	return true;
}

static bool set_mark(const char *value, struct conf_flowtable *ft)
{
	const char *p = number(value, true, &ft->mark_value);

	if (!p)
		return false;
	p += strspn(p, " \t");
	if (*p++ != '/')
		return false;
	p = number(p + strspn(p, " \t"), true, &ft->mark_mask);
	return p && *p == '\0' && ft->mark_mask != 0 && (ft->mark_value & ~ft->mark_mask) == 0;
}

static bool has_device(const struct conf_flowtable *ft, const char *name)
{
	for (unsigned int i = 0; i < ft->n_devices; i++) {
		if (strcmp(ft->device[i], name) == 0)
			return true;
	}
	return false;
}

static int set_devices(const struct ini *ini, const struct conf_key *key, const char *value,
	struct conf_flowtable *ft)
{
	static const char separators[] = " \t,";
	char name[NFO_NAME_LEN];
	size_t len;

	for (const char *p = value; *(p += strspn(p, separators)) != '\0'; p += len) {
		len = strcspn(p, separators);
		if (len >= sizeof(name) || ft->n_devices == CONF_MAX_DEVICES)
			return refuse(ini, key, value);
		memcpy(name, p, len);
		name[len] = '\0';
		if (has_device(ft, name))
			return ini_error_at(ini, ini->line,
				"'%s' twice in devices, expected each name once", name);
		strcpy(ft->device[ft->n_devices++], name);
	}
	return ft->n_devices > 0 ? 0 : refuse(ini, key, value);
}

int conf_key_set(const struct ini *ini, const struct conf_key *key, const char *value, void *object)
{
	char *at = (char *)object + key->offset;
	bool valid = false;

	switch (key->type) {
	case CONF_U16:
	case CONF_U32:
		valid = set_number(key, value, at);
		break;
	case CONF_BOOL:
	case CONF_WORD:
		valid = set_word(key, value, at);
		break;
	case CONF_TEXT:
	case CONF_PATH:
		valid = set_text(key, value, at);
		break;
	case CONF_MARK:
		valid = set_mark(value, object);
		break;
	case CONF_DEVICES:
		return set_devices(ini, key, value, object);
	}
	return valid ? 0 : refuse(ini, key, value);
}
