// SPDX-License-Identifier: GPL-2.0-or-later
// main() of a fuzz target where the compiler has no libFuzzer: every file of the given folders (or
// a single file), then mutations of them that the seed alone determines.
//   TARGET [-runs=N] [-seed=S] FOLDER|FILE...
// An input that fails is left in TARGET.crash of the working directory; give it as FILE to see it
// fail again.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

enum { INPUT_BYTES = 4096, STEPS = 8 };

struct input {
	uint8_t *data;
	size_t size;
};

static struct input *corpus;
static size_t n_corpus;
static struct input now; // for the crash file
static char crash_file[128];
static uint64_t state;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(2);
}

static void save_crash(void)
{
	const int fd = open(crash_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return;
	if (write(fd, now.data, now.size) == (ssize_t)now.size)
		dprintf(STDERR_FILENO, "the input is in %s\n", crash_file);
	close(fd);
}

static void on_abort(int number)
{
	save_crash();
	signal(number, SIG_DFL);
	raise(number);
}

static void run(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size != 0 ? size : 1);

	if (exact == NULL)
		die("malloc");
	memcpy(exact, data, size);
	now = (struct input){exact, size};
	LLVMFuzzerTestOneInput(exact, size);
	now = (struct input){NULL, 0};
	free(exact);
}

static void load_file(const char *path)
{
	uint8_t buf[INPUT_BYTES];
	struct input in;
	FILE *f = fopen(path, "rb");

	if (f == NULL)
		die(path);
	in.size = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	in.data = malloc(in.size != 0 ? in.size : 1);
	corpus = realloc(corpus, (n_corpus + 1) * sizeof(*corpus));
	if (in.data == NULL || corpus == NULL)
		die(path);
	memcpy(in.data, buf, in.size);
	corpus[n_corpus++] = in;
}

static int not_hidden(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void load(const char *path)
{
	struct dirent **names;
	struct stat st;
	char file[4096];
	int n;

	if (stat(path, &st) < 0)
		die(path);
	if (!S_ISDIR(st.st_mode)) {
		load_file(path);
		return;
	}
	n = scandir(path, &names, not_hidden, alphasort);
	if (n < 0)
		die(path);
	for (int i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		load_file(file);
		free(names[i]);
	}
	free(names);
}

// splitmix64
static size_t below(size_t n)
{
	uint64_t x = state += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return n != 0 ? (x ^ x >> 31) % n : 0;
}

static size_t insert(uint8_t *buf, size_t size, size_t at, const uint8_t *what, size_t n)
{
	if (size + n > INPUT_BYTES)
		return size;
	memmove(buf + at + n, buf + at, size - at);
	memcpy(buf + at, what, n);
	return size + n;
}

static size_t cut(uint8_t *buf, size_t size, size_t at, size_t n)
{
	memmove(buf + at, buf + at + n, size - at - n);
	return size - n;
}

static size_t change(uint8_t *buf, size_t size, size_t at)
{
	static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, '\n', '=', '[', '"', '{'};

	switch (below(4)) {
	case 0:
		buf[at] ^= (uint8_t)(1u << below(8));
		break;
	case 1:
		buf[at] = odd[below(sizeof(odd))];
		break;
	case 2:
		buf[at] = (uint8_t)(buf[at] + below(9) - 4);
		break;
	default: // the bytes of a length or type, as if they were another
		memmove(buf + at, buf + below(size), 1 + below(size - at < 4 ? size - at : 4));
		break;
	}
	return size;
}

// memmove() of 'change' reads behind 'size', but within the buffer.
static size_t step(uint8_t *buf, size_t size)
{
	const struct input *other = &corpus[below(n_corpus)];
	const size_t at = below(size), from = below(other->size);
	uint8_t some[16];

	if (size == 0 || below(8) == 0)
		return insert(buf, size, at, other->data + from, below(other->size - from + 1));
	switch (below(6)) {
	case 0: // the rest, or a piece
		return cut(buf, size, at, below(2) == 0 ? size - at : below(size - at + 1));
	case 1:
		for (size_t i = 0; i < sizeof(some); i++)
			some[i] = (uint8_t)below(256);
		return insert(buf, size, at, some, below(sizeof(some) + 1));
	default:
		return change(buf, size, at);
	}
}

static void mutate(void)
{
	static uint8_t buf[INPUT_BYTES + 16];
	const struct input *in = &corpus[below(n_corpus)];
	size_t size = in->size;

	memcpy(buf, in->data, size);
	for (size_t steps = 1 + below(STEPS); steps > 0; steps--)
		size = step(buf, size);
	run(buf, size);
}

int main(int argc, char **argv)
{
	unsigned long runs = 0;

	snprintf(crash_file, sizeof(crash_file), "%s.crash", program_invocation_short_name);
	signal(SIGABRT, on_abort);
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(save_crash);
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-runs=", 6) == 0)
			runs = strtoul(argv[i] + 6, NULL, 10);
		else if (strncmp(argv[i], "-seed=", 6) == 0)
			state = strtoull(argv[i] + 6, NULL, 10);
		else
			load(argv[i]);
	}
	if (n_corpus == 0) {
		fprintf(stderr, "usage: %s [-runs=N] [-seed=S] FOLDER|FILE...\n", argv[0]);
		return 2;
	}
	for (size_t i = 0; i < n_corpus; i++)
		run(corpus[i].data, corpus[i].size);
	for (unsigned long i = 0; i < runs; i++)
		mutate();
	printf("%zu files, %lu mutations\n", n_corpus, runs);
	for (size_t i = 0; i < n_corpus; i++)
		free(corpus[i].data);
	free(corpus);
	return 0;
}
