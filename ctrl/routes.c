// SPDX-License-Identifier: GPL-2.0-or-later
#include "routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "slots.h"

enum {
	PREFIXES = 64, // changes that are told apart; more of them are as if all had changed
	UNKNOWN = -1,
	AGE_PARTS = 64,    // calls of routes_age() that see all answers
	AGE_DOUBTS = 64,   // answers doubted in a call, at most
	UNUSED_ROUNDS = 2, // of routes_age() over all answers, before one is forgotten
};

// What a change looks at comes first.
struct answer {
	bool used, linked, in_doubt;
	int8_t multipath;
	struct rtnl_route_key key; // reduced to what matters; in the query, 'asked'
	struct rtnl_route route;
	int err;
	uint32_t refs;
	uint32_t version;
	uint32_t next;   // in its chain, or of free ones
	uint32_t doubts; // next in the list of those in doubt
	uint32_t round;  // of ageing, when it was used last
	struct rtnl_route_key asked;
};

// What of a key matters, by family.
struct relevance {
	bool src, l4;
};

struct routes {
	struct rtnl *rtnl;
	struct answer *answer; // [1, top) were used
	uint32_t *chain;
	uint32_t max, top, free_head, chain_mask;
	uint64_t secret;
	struct relevance relevant[2];
	// changes since the last review
	struct rtnl_prefix prefix[PREFIXES];
	unsigned int n_prefixes;
	bool all_changed;
	bool versions_changed;
	// answers in doubt, oldest first
	uint32_t first_doubt, last_doubt, n_doubts;
	uint32_t age_next, round;
	struct routes_stats stats;
};

static size_t answers_bytes(const struct routes *r)
{
	return (r->max + 1ull) * sizeof(struct answer);
}

static struct relevance relevance_of(const struct routes *r, uint8_t family)
{
	const struct rtnl_rules *rules = rtnl_rules(r->rtnl, family);
	const struct rtnl_facts *facts = rtnl_facts(r->rtnl, family);

	return (struct relevance){
		// of several next hops the addresses choose (net.ipv4.fib_multipath_hash_policy
		// 0; where ports do too, no answer serves anybody)
		.src = rules->src || facts->src || facts->multipath,
		.l4 = rules->l4,
	};
}

struct routes *routes_create(struct rtnl *rtnl, uint32_t max)
{
	struct routes *r = calloc(1, sizeof(*r));
	uint32_t chains = 16;

	if (r == NULL)
		return NULL;
	while (chains < max)
		chains *= 2;
	r->rtnl = rtnl;
	r->max = max;
	r->top = 1;
	r->chain_mask = chains - 1;
	r->chain = calloc(chains, sizeof(*r->chain));
	r->answer = slots_map(answers_bytes(r));
	r->relevant[0] = relevance_of(r, NFO_IPV4);
	r->relevant[1] = relevance_of(r, NFO_IPV6);
	if (r->chain != NULL && r->answer != NULL
		&& getrandom(&r->secret, sizeof(r->secret), 0) == sizeof(r->secret))
		return r;
	routes_destroy(r);
	errno = ENOMEM;
	return NULL;
}

void routes_destroy(struct routes *r)
{
	if (r == NULL)
		return;
	slots_unmap(r->answer, answers_bytes(r));
	free(r->chain);
	free(r);
}

// --- keys ---

static struct rtnl_route_key reduce(const struct routes *r, const struct rtnl_route_key *key)
{
	const struct relevance relevant = relevance_of(r, key->family);
	struct rtnl_route_key reduced;

	memset(&reduced, 0, sizeof(reduced)); // keys are compared as bytes
	reduced.dst = key->dst;
	reduced.iif = key->iif;
	reduced.mark = key->mark;
	reduced.family = key->family;
	reduced.tos = key->tos;
	if (relevant.src)
		reduced.src = key->src;
	if (relevant.l4) {
		reduced.sport_be = key->sport_be;
		reduced.dport_be = key->dport_be;
		reduced.proto = key->proto;
	}
	return reduced;
}

static uint32_t *chain_of(const struct routes *r, const struct rtnl_route_key *key)
{
	uint64_t words[sizeof(*key) / sizeof(uint64_t) + 1] = {0}, h = r->secret;

	memcpy(words, key, sizeof(*key));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		h = slots_hash(h, words[i], r->secret);
	return &r->chain[h & r->chain_mask];
}

static uint32_t find(const struct routes *r, const struct rtnl_route_key *key)
{
	uint32_t i = *chain_of(r, key);

	while (i != ROUTES_NONE && memcmp(&r->answer[i].key, key, sizeof(*key)) != 0)
		i = r->answer[i].next;
	return i;
}

static void unlink_answer(struct routes *r, uint32_t number)
{
	struct answer *a = &r->answer[number];
	uint32_t *link = chain_of(r, &a->key);

	if (!a->linked)
		return;
	while (*link != number)
		link = &r->answer[*link].next;
	*link = a->next;
	a->linked = false;
}

static uint32_t add(struct routes *r, const struct rtnl_route_key *key)
{
	uint32_t *chain = chain_of(r, key);
	uint32_t i = r->free_head;

	if (i != ROUTES_NONE)
		r->free_head = r->answer[i].next;
	else if (r->top <= r->max)
		i = r->top++;
	else
		return ROUTES_NONE;
	// a number that is used again tells so to whoever still has the version
	r->answer[i] = (struct answer){
		.key = *key,
		.next = *chain,
		.version = r->answer[i].version + 1,
		.multipath = UNKNOWN,
		.used = true,
		.linked = true,
	};
	*chain = i;
	r->stats.answers++;
	return i;
}

// Nobody refers to it, and it is not in doubt.
static void drop(struct routes *r, uint32_t number)
{
	struct answer *a = &r->answer[number];

	unlink_answer(r, number);
	a->used = false;
	a->next = r->free_head;
	r->free_head = number;
	r->stats.answers--;
}

// --- queries ---

static void new_version(struct routes *r, struct answer *a)
{
	a->version++;
	r->versions_changed = true;
}

// Takes what the kernel says now to 'a'.
static void take(struct routes *r, struct answer *a, int err, const struct rtnl_route *route)
{
	if (err != a->err || (err == 0 && !rtnl_route_same(route, &a->route)))
		new_version(r, a);
	a->err = err;
	if (err == 0)
		a->route = *route;
	a->multipath = UNKNOWN;
}

static int ask(struct routes *r, const struct rtnl_route_key *key, struct rtnl_route *route)
{
	r->stats.asked++;
	return rtnl_route_get(r->rtnl, key, route);
}

int routes_get(struct routes *r, const struct rtnl_route_key *key, struct rtnl_route *route)
{
	const struct rtnl_route_key reduced = reduce(r, key);
	uint32_t number = find(r, &reduced);
	struct answer *a = &r->answer[number];
	int err;

	a->round = r->round;
	if (number != ROUTES_NONE && a->err == 0 && !a->in_doubt) {
		r->stats.found++;
		*route = a->route;
		return 0;
	}
	err = ask(r, key, route);
	route->answer = ROUTES_NONE;
	if (number == ROUTES_NONE) {
		// an error may be about the source, which is no part of the key
		number = err == 0 ? add(r, &reduced) : ROUTES_NONE;
		if (number == ROUTES_NONE)
			return err;
		a = &r->answer[number];
		a->asked = *key;
		a->round = r->round;
		a->route = *route;
	} else {
		take(r, a, err, route);
	}
	route->answer = a->route.answer = number;
	return err;
}

int routes_multipath(struct routes *r, const struct rtnl_route_key *key)
{
	const struct rtnl_route_key reduced = reduce(r, key);
	const uint32_t number = find(r, &reduced);
	int ret;

	if (!rtnl_facts(r->rtnl, key->family)->multipath)
		return 0;
	if (number != ROUTES_NONE && r->answer[number].multipath != UNKNOWN)
		return r->answer[number].multipath;
	r->stats.asked++;
	ret = rtnl_route_multipath(r->rtnl, key);
	if (number != ROUTES_NONE && ret >= 0)
		r->answer[number].multipath = (int8_t)ret;
	return ret;
}

// --- references ---

void routes_ref(struct routes *r, uint32_t number)
{
	if (number != ROUTES_NONE)
		r->answer[number].refs++;
}

// It stays for a while: the next connection may be to the same destination.
void routes_unref(struct routes *r, uint32_t number)
{
	struct answer *a = &r->answer[number];

	if (number == ROUTES_NONE || --a->refs != 0)
		return;
	a->round = r->round;
	if (!a->linked && !a->in_doubt)
		drop(r, number);
}

uint32_t routes_version(const struct routes *r, uint32_t number)
{
	return r->answer[number].version;
}

bool routes_in_doubt(const struct routes *r, uint32_t number)
{
	return r->answer[number].in_doubt;
}

// --- changes ---

void routes_doubt(struct routes *r, uint32_t number)
{
	struct answer *a = &r->answer[number];

	if (number == ROUTES_NONE || a->in_doubt)
		return;
	a->in_doubt = true;
	a->doubts = ROUTES_NONE;
	if (r->n_doubts++ == 0)
		r->first_doubt = number;
	else
		r->answer[r->last_doubt].doubts = number;
	r->last_doubt = number;
}

void routes_changed(struct routes *r, const struct rtnl_prefix *prefix)
{
	for (unsigned int i = 0; i < r->n_prefixes; i++)
		if (memcmp(&r->prefix[i], prefix, sizeof(*prefix)) == 0)
			return;
	if (r->n_prefixes == PREFIXES)
		r->all_changed = true;
	else
		r->prefix[r->n_prefixes++] = *prefix;
}

void routes_all_changed(struct routes *r)
{
	r->all_changed = true;
}

void routes_link_changed(struct routes *r, int ifindex)
{
	for (uint32_t i = 1; i < r->top; i++) {
		struct answer *a = &r->answer[i];

		if (!a->used || (a->route.oif != ifindex && a->key.iif != ifindex))
			continue;
		new_version(r, a);
		routes_doubt(r, i);
	}
}

void routes_neigh_changed(struct routes *r, const struct rtnl_neigh *neigh)
{
	for (uint32_t i = 1; i < r->top; i++) {
		struct answer *a = &r->answer[i];
		const uint8_t family =
			a->route.gateway_family != 0 ? a->route.gateway_family : a->key.family;

		if (a->used && a->route.oif == neigh->ifindex && family == neigh->family
			&& memcmp(&a->route.gateway, &neigh->addr, sizeof(neigh->addr)) == 0)
			new_version(r, a);
	}
}

static bool covers(const struct rtnl_prefix *prefix, const struct rtnl_route_key *key)
{
	const unsigned int bytes = prefix->bits / 8, rest = prefix->bits % 8;

	return prefix->family == key->family
	       && memcmp(prefix->addr.bytes, key->dst.bytes, bytes) == 0
	       && (rest == 0
		       || (prefix->addr.bytes[bytes] ^ key->dst.bytes[bytes]) >> (8 - rest) == 0);
}

static bool concerned(const struct routes *r, const struct answer *a)
{
	for (unsigned int i = 0; i < r->n_prefixes; i++)
		if (covers(&r->prefix[i], &a->key))
			return true;
	return r->all_changed;
}

static void doubt_concerned(struct routes *r)
{
	if (r->n_prefixes == 0 && !r->all_changed)
		return;
	for (uint32_t i = 1; i < r->top; i++)
		if (r->answer[i].used && concerned(r, &r->answer[i]))
			routes_doubt(r, i);
	r->n_prefixes = 0;
	r->all_changed = false;
}

// Where other parts of a key matter than did, no answer is found any more.
static void check_relevance(struct routes *r)
{
	const struct relevance now[2] = {
		relevance_of(r, NFO_IPV4), relevance_of(r, NFO_IPV6)};

	if (memcmp(now, r->relevant, sizeof(now)) == 0)
		return;
	memcpy(r->relevant, now, sizeof(now));
	for (uint32_t i = 1; i < r->top; i++) {
		struct answer *a = &r->answer[i];

		if (!a->used)
			continue;
		unlink_answer(r, i);
		new_version(r, a);
		if (a->refs == 0 && !a->in_doubt)
			drop(r, i);
	}
}

static void review(struct routes *r)
{
	const uint32_t number = r->first_doubt;
	struct answer *a = &r->answer[number];
	struct rtnl_route route;

	r->first_doubt = a->doubts;
	r->n_doubts--;
	a->in_doubt = false;
	if (a->refs == 0) {
		drop(r, number);
		return;
	}
	if (!a->linked)
		return; // its version has changed
	take(r, a, ask(r, &a->asked, &route), &route);
	a->route.answer = number;
}

uint32_t routes_review(struct routes *r, unsigned int budget, bool *changed)
{
	check_relevance(r);
	doubt_concerned(r);
	for (; r->n_doubts > 0 && budget > 0; budget--)
		review(r);
	*changed = r->versions_changed;
	r->versions_changed = false;
	return r->n_doubts;
}

void routes_age(struct routes *r)
{
	unsigned int doubts = AGE_DOUBTS;

	for (uint32_t n = r->top / AGE_PARTS + 1; n > 0 && r->age_next < r->top; n--, r->age_next++) {
		struct answer *a = &r->answer[r->age_next];

		if (!a->used || a->in_doubt)
			continue;
		if (a->refs == 0 && r->round - a->round >= UNUSED_ROUNDS)
			drop(r, r->age_next);
		else if (a->refs != 0 && doubts > 0) {
			routes_doubt(r, r->age_next);
			doubts--;
		}
	}
	if (r->age_next >= r->top) {
		r->age_next = 1;
		r->round++;
	}
}

void routes_stats(const struct routes *r, struct routes_stats *stats)
{
	*stats = r->stats;
	stats->in_doubt = r->n_doubts;
}
