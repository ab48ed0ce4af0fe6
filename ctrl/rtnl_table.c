// SPDX-License-Identifier: GPL-2.0-or-later
#include "rtnl_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_LINKS = 32, FIRST_SLOTS = 256 };

struct link_entry {
	struct rtnl_link link;
	bool seen;
};

struct neigh_entry {
	struct rtnl_neigh neigh; // ifindex 0: the slot is free
	bool seen;
};

// Where 'ifindex' is, or belongs.
static unsigned int link_pos(const struct link_table *t, int ifindex)
{
	unsigned int low = 0, high = t->n;

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;
		if (t->list[mid].link.ifindex < ifindex)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool link_is_at(const struct link_table *t, unsigned int pos, int ifindex)
{
	return pos < t->n && t->list[pos].link.ifindex == ifindex;
}

static bool equal_links(const struct rtnl_link *a, const struct rtnl_link *b)
{
	return a->master == b->master && a->mtu == b->mtu && a->mtu6 == b->mtu6 && a->up == b->up
	       && a->carrier == b->carrier && !memcmp(a->mac, b->mac, sizeof(a->mac))
	       && !strcmp(a->name, b->name) && !strcmp(a->kind, b->kind) && a->lower == b->lower
	       && !memcmp(&a->vlan, &b->vlan, sizeof(a->vlan)) && a->vlan_qos == b->vlan_qos
	       && a->bond_mode == b->bond_mode && a->bond_active == b->bond_active
	       && a->slave_active == b->slave_active;
}

static int link_insert(struct link_table *t, unsigned int pos, const struct rtnl_link *link)
{
	if (t->n == t->size) {
		unsigned int size = t->size ? t->size * 2 : FIRST_LINKS;
		struct link_entry *list = reallocarray(t->list, size, sizeof(*list));
		if (!list)
			return -ENOMEM;
		t->list = list;
		t->size = size;
	}
	memmove(&t->list[pos + 1], &t->list[pos], (t->n - pos) * sizeof(*t->list));
	t->list[pos] = (struct link_entry){.link = *link, .seen = true};
	t->n++;
	return TABLE_NEW;
}

int link_table_put(struct link_table *t, const struct rtnl_link *link)
{
	unsigned int pos = link_pos(t, link->ifindex);

	if (!link_is_at(t, pos, link->ifindex))
		return link_insert(t, pos, link);
	t->list[pos].seen = true;
	if (equal_links(&t->list[pos].link, link))
		return TABLE_SAME;
	t->list[pos].link = *link;
	return TABLE_CHANGED;
}

static void link_remove(struct link_table *t, unsigned int pos, struct rtnl_link *was)
{
	*was = t->list[pos].link;
	t->n--;
	memmove(&t->list[pos], &t->list[pos + 1], (t->n - pos) * sizeof(*t->list));
}

bool link_table_take(struct link_table *t, int ifindex, struct rtnl_link *was)
{
	unsigned int pos = link_pos(t, ifindex);

	if (!link_is_at(t, pos, ifindex))
		return false;
	link_remove(t, pos, was);
	return true;
}

const struct rtnl_link *link_table_find(const struct link_table *t, int ifindex)
{
	unsigned int pos = link_pos(t, ifindex);

	return link_is_at(t, pos, ifindex) ? &t->list[pos].link : NULL;
}

const struct rtnl_link *link_table_next(const struct link_table *t, int after)
{
	unsigned int pos = link_pos(t, after + 1);

	return pos < t->n ? &t->list[pos].link : NULL;
}

const struct rtnl_link *link_table_find_name(const struct link_table *t, const char *name)
{
	for (unsigned int i = 0; i < t->n; i++)
		if (!strcmp(t->list[i].link.name, name))
			return &t->list[i].link;
	return NULL;
}

void link_table_unsee(struct link_table *t)
{
	for (unsigned int i = 0; i < t->n; i++)
		t->list[i].seen = false;
}

bool link_table_take_unseen(struct link_table *t, struct rtnl_link *was)
{
	for (unsigned int i = 0; i < t->n; i++) {
		if (!t->list[i].seen) {
			link_remove(t, i, was);
			return true;
		}
	}
	return false;
}

void link_table_fini(struct link_table *t)
{
	free(t->list);
	*t = (struct link_table){0};
}

// Seeded, since who is on a link chooses the addresses: murmur3's mixing of 32-bit words.
static uint32_t mix(uint32_t h, uint32_t k)
{
	k *= 0xcc9e2d51;
	k = k << 15 | k >> 17;
	h ^= k * 0x1b873593;
	h = h << 13 | h >> 19;
	return h * 5 + 0xe6546b64;
}

static uint32_t home_of(const struct neigh_table *t, int ifindex, const union nfo_addr *addr)
{
	uint32_t h = mix(t->seed, (uint32_t)ifindex), word[4];

	memcpy(word, addr->bytes, sizeof(word));
	for (int i = 0; i < 4; i++)
		h = mix(h, word[i]);
	h = (h ^ h >> 16) * 0x85ebca6b;
	h = (h ^ h >> 13) * 0xc2b2ae35;
	return (h ^ h >> 16) & t->mask;
}

// The entry, or the free slot where it belongs. The table has slots, and a free one among them.
static struct neigh_entry *slot_of(
	const struct neigh_table *t, int ifindex, uint8_t family, const union nfo_addr *addr)
{
	uint32_t i = home_of(t, ifindex, addr);

	for (;; i = (i + 1) & t->mask) {
		struct rtnl_neigh *n = &t->slots[i].neigh;
		if (!n->ifindex
			|| (n->ifindex == ifindex && n->family == family
				&& !memcmp(&n->addr, addr, sizeof(*addr))))
			return &t->slots[i];
	}
}

static int neigh_grow(struct neigh_table *t)
{
	struct neigh_table bigger = {.n = t->n, .seed = t->seed};
	uint32_t size = t->mask ? (t->mask + 1) * 2 : FIRST_SLOTS;

	if (t->n < (t->mask + 1) / 2 && t->mask)
		return 0;
	if (!t->mask && getrandom(&bigger.seed, sizeof(bigger.seed), 0) < 0)
		return -errno;
	bigger.slots = calloc(size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	bigger.mask = size - 1;
	for (uint32_t i = 0; t->mask && i <= t->mask; i++) {
		const struct rtnl_neigh *n = &t->slots[i].neigh;
		if (n->ifindex)
			*slot_of(&bigger, n->ifindex, n->family, &n->addr) = t->slots[i];
	}
	free(t->slots);
	*t = bigger;
	return 0;
}

int neigh_table_put(struct neigh_table *t, const struct rtnl_neigh *neigh, bool *was_valid)
{
	struct neigh_entry *e;
	struct rtnl_neigh was;
	int err = neigh_grow(t);

	if (err)
		return err;
	e = slot_of(t, neigh->ifindex, neigh->family, &neigh->addr);
	was = e->neigh;
	*e = (struct neigh_entry){.neigh = *neigh, .seen = true};
	*was_valid = was.ifindex && was.valid;
	if (!was.ifindex) {
		t->n++;
		return TABLE_NEW;
	}
	if (was.valid == neigh->valid && !memcmp(was.mac, neigh->mac, sizeof(was.mac)))
		return TABLE_SAME;
	return TABLE_CHANGED;
}

// Moves up what would no longer be found behind the gap.
static void neigh_remove(struct neigh_table *t, uint32_t gap, struct rtnl_neigh *was)
{
	uint32_t i = gap;

	*was = t->slots[gap].neigh;
	for (;;) {
		const struct rtnl_neigh *n;
		i = (i + 1) & t->mask;
		n = &t->slots[i].neigh;
		if (!n->ifindex)
			break;
		if (((i - home_of(t, n->ifindex, &n->addr)) & t->mask) >= ((i - gap) & t->mask)) {
			t->slots[gap] = t->slots[i];
			gap = i;
		}
	}
	memset(&t->slots[gap], 0, sizeof(t->slots[gap]));
	t->n--;
}

bool neigh_table_take(struct neigh_table *t, const struct rtnl_neigh *key, struct rtnl_neigh *was)
{
	struct neigh_entry *e;

	if (!t->mask)
		return false;
	e = slot_of(t, key->ifindex, key->family, &key->addr);
	if (!e->neigh.ifindex)
		return false;
	neigh_remove(t, (uint32_t)(e - t->slots), was);
	return true;
}

const struct rtnl_neigh *neigh_table_find(
	const struct neigh_table *t, int ifindex, uint8_t family, const union nfo_addr *addr)
{
	const struct neigh_entry *e;

	if (!t->mask || !ifindex)
		return NULL;
	e = slot_of(t, ifindex, family, addr);
	return e->neigh.ifindex ? &e->neigh : NULL;
}

void neigh_table_unsee(struct neigh_table *t)
{
	for (uint32_t i = 0; t->mask && i <= t->mask; i++)
		t->slots[i].seen = false;
	t->cursor = 0;
}

// A removal moves later entries up to the cursor at most, never before it, so none is missed; what
// moves from the start of the table to its end was looked at before, and is seen.
bool neigh_table_take_unseen(struct neigh_table *t, struct rtnl_neigh *was)
{
	for (; t->mask && t->cursor <= t->mask; t->cursor++) {
		const struct neigh_entry *e = &t->slots[t->cursor];
		if (e->neigh.ifindex && !e->seen) {
			neigh_remove(t, t->cursor, was);
			return true;
		}
	}
	return false;
}

void neigh_table_fini(struct neigh_table *t)
{
	free(t->slots);
	*t = (struct neigh_table){0};
}
