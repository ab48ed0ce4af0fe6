// SPDX-License-Identifier: GPL-2.0-or-later
#include "problems_log.h"

#include <string.h>

#include "log.h"

static bool same(const struct diag_problem *a, const struct diag_problem *b)
{
	return strcmp(a->word, b->word) == 0 && strcmp(a->subject, b->subject) == 0;
}

static bool has(const struct diag *found, const struct diag_problem *p)
{
	for (unsigned int i = 0; i < found->n; i++)
		if (same(&found->list[i], p))
			return true;
	return false;
}

static struct problems_entry *find(struct problems_log *log, const struct diag_problem *p)
{
	for (unsigned int i = 0; i < log->n; i++)
		if (same(&log->entry[i].problem, p))
			return &log->entry[i];
	return NULL;
}

static void drop_gone(struct problems_log *log, const struct diag *found)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < log->n; i++) {
		const struct problems_entry *e = &log->entry[i];

		if (has(found, &e->problem))
			log->entry[n++] = *e;
		else if (e->told)
			log_notice("problem", "no longer: %s%s%s", e->problem.word,
				e->problem.subject[0] != '\0' ? " " : "", e->problem.subject);
	}
	log->n = n;
}

void problems_log_update(
	struct problems_log *log, const struct diag *found, uint64_t now_ns, uint64_t settle_ns)
{
	drop_gone(log, found);
	for (unsigned int i = 0; i < found->n; i++) {
		struct problems_entry *e = find(log, &found->list[i]);

		if (e == NULL) { // there is room: what is not found has been dropped
			e = &log->entry[log->n++];
			*e = (struct problems_entry){.problem = found->list[i], .since_ns = now_ns};
		}
		if (e->told || now_ns - e->since_ns < settle_ns)
			continue;
		e->told = true;
		log_warning("problem", "%s: %s", found->list[i].word, found->list[i].text);
	}
}
