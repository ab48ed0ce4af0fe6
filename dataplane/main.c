// SPDX-License-Identifier: BSD-3-Clause
// dpdk-nftoffload: arguments, order of start and stop.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_version.h>

#include "ctrl.h"
#include "dp.h"

enum { EXIT_CONFIG = 2, MAX_EAL_ARGS = 128 };

struct options {
	const char *config;
	const char *flows;
	int log_level; // -1: the configuration's
	bool check;
};

static struct ctrl *ctrl;

static void usage(FILE *out)
{
	fputs("usage: dpdk-nftoffload [EAL options] -- --config FILE [options]\n"
	      "Forwards the flows of nftables flowtables between DPDK ports; everything else goes "
	      "to "
	      "the kernel.\n\n"
	      "  --config FILE      ports and settings, see dpdk-nftoffload.ini(5)\n"
	      "  --check-config     reads the files, says whether they are valid, and ends\n"
	      "  --flows FILE       for tests, replay and benchmarks: the flows of FILE, none of "
	      "the kernel's\n"
	      "  --log-level LEVEL  error, warning, notice, info or debug\n"
	      "  --version          prints the version and ends\n"
	      "  --help             prints this and ends\n\n"
	      "EAL options, e.g. -l 0-3 (control on the first lcore, workers on the others), are "
	      "DPDK's;\n"
	      "'dpdk-nftoffload -h' lists them.\n",
		out);
}

static int bad_usage(const char *what, const char *arg)
{
	fprintf(stderr, "dpdk-nftoffload: %s%s%s\n", what, arg != NULL ? ": " : "",
		arg != NULL ? arg : "");
	fputs("Try 'dpdk-nftoffload -- --help'.\n", stderr);
	return EXIT_CONFIG;
}

// Returns -1 to go on, else the exit status.
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, 't'},
		{"flows", required_argument, NULL, 'f'},
		{"log-level", required_argument, NULL, 'l'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'f':
			o->flows = optarg;
			break;
		case 't':
			o->check = true;
			break;
		case 'l':
			o->log_level = log_level_parse(optarg);
			if (o->log_level < 0)
				return bad_usage("--log-level: expected error, warning, notice, "
						 "info or debug",
					optarg);
			break;
		case 'V':
			printf("dpdk-nftoffload %s (%s)\n", NFO_VERSION, rte_version());
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			return bad_usage("unknown option or missing argument", NULL);
		}
	}
	if (optind < argc)
		return bad_usage("unexpected argument", argv[optind]);
	if (o->config == NULL)
		return bad_usage("no configuration: expected -- --config FILE", NULL);
	return -1;
}

static bool has_option(int argc, char **argv, const char *const *names)
{
	for (int i = 1; i < argc; i++)
		for (const char *const *n = names; *n != NULL; n++)
			if (strncmp(argv[i], *n, strlen(*n)) == 0)
				return true;
	return false;
}

// The user's EAL options, and ours where the user has not chosen: no files that a crash would leave
// behind, and several daemons on a machine.
static int eal_start(int argc, char **argv)
{
	static const char *const chosen[] = {"--in-memory", "--no-shconf", "--huge-unlink",
		"--file-prefix", "--proc-type", "--single-file-segments", NULL};
	static const char *const no_huge[] = {"--no-huge", NULL};
	static char in_memory[] = "--in-memory", no_shconf[] = "--no-shconf";
	char *args[MAX_EAL_ARGS + 2];
	int n = 0;

	if (argc > MAX_EAL_ARGS) {
		errno = E2BIG;
		return -1;
	}
	for (; n < argc; n++)
		args[n] = argv[n];
	if (!has_option(argc, argv, chosen))
		args[n++] = has_option(argc, argv, no_huge) ? no_shconf : in_memory;
	args[n] = NULL;
	if (rte_eal_init(n, args) >= 0)
		return 0;
	errno = rte_errno;
	return -1;
}

static void on_signal(int signal)
{
	(void)signal;
	ctrl_stop(ctrl);
}

static void set_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t reload;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
	sigaction(SIGIO, &action, NULL); // net_tap's, for a signal that found its queue full
	sigemptyset(&reload); // control reads it, no thread is interrupted
	sigaddset(&reload, SIGHUP);
	sigprocmask(SIG_BLOCK, &reload, NULL);
	action.sa_handler = SIG_DFL; // it may have been ignored (nohup), and would not be told then
	sigaction(SIGHUP, &action, NULL);
}

static void __rte_format_printf(1, 2) say(const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_notice("dataplane", "%s", text);
}

static int run(struct conf *conf)
{
	char err[1024];
	int ret;

	if (dp_start(&conf->dp, say, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		return EXIT_CONFIG;
	}
	if (ctrl_install_flows(ctrl, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		dp_stop(false);
		return EXIT_CONFIG;
	}
	ret = ctrl_start(ctrl, conf);
	if (ret == 0)
		dp_launch(); // twins have their carrier and MTU: not even the first packet is lost
	if (ret == 0)
		ret = ctrl_run(ctrl, dp.shared_lcore ? dp_poll_shared : NULL);
	ctrl_end(ctrl);
	dp_stop(ret == 0);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

// What the files say. Returns -1 to go on, else the exit status.
static int load(const struct options *options, struct conf *conf)
{
	char err[1024];

	if (conf_load(options->config, conf, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		return EXIT_CONFIG;
	}
	if (options->flows != NULL
		&& ctrl_load_flows(ctrl, options->flows, conf, err, sizeof(err)) < 0) {
		fprintf(stderr, "%s\n", err);
		conf_fini(conf);
		return EXIT_CONFIG;
	}
	if (options->log_level >= 0)
		ctrl_fix_log_level(ctrl);
	log_set_level(
		options->log_level >= 0 ? (enum log_level)options->log_level : conf->log_level);
	if (!options->check)
		return -1;
	printf("%s: valid, %u ports\n", options->config, conf->dp.n_ports);
	conf_fini(conf);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options options = {.log_level = -1};
	struct conf conf;
	int eal_argc = argc, ret;

	for (int i = 1; i < argc && eal_argc == argc; i++)
		if (strcmp(argv[i], "--") == 0)
			eal_argc = i;
	if (eal_argc == argc && argc == 2 && strncmp(argv[1], "--", 2) == 0)
		eal_argc = 0; // a lone --help or --version is for us
	ret = eal_argc == argc ? -1 : parse_options(argc - eal_argc, argv + eal_argc, &options);
	if (ret >= 0)
		return ret;
	// without "--" EAL speaks: -h prints its options and ends; else our usage follows
	if (options.config == NULL && argc == 2 && strcmp(argv[1], "-h") == 0)
		return rte_eal_init(argc, argv) < 0;
	if (options.config == NULL)
		return bad_usage("no configuration: expected -- --config FILE", NULL);
	ctrl = ctrl_create(NFO_VERSION);
	if (ctrl == NULL) {
		fprintf(stderr, "dpdk-nftoffload: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	ret = load(&options, &conf);
	if (ret >= 0)
		goto end;
	set_signals();
	if (eal_start(eal_argc, argv) < 0) {
		fprintf(stderr, "dpdk-nftoffload: DPDK does not start: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	ret = run(&conf);
	conf_fini(&conf);
end:
	ctrl_destroy(ctrl);
	return ret;
}
