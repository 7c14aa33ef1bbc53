/* The engine of switching, with a clock of its own: hours take milliseconds. */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve/switch.h"
#include "serve/switchapi.h"
#include "serve/switchstats.h"
#include "serve/versions.h"

#define MINUTE 60000000LL
#define HOUR (60 * MINUTE)

struct world {
	struct switchdb *db;
	struct switcher *s;
	int64_t now;
	int published, alerts, ended;
	bool refuse;			/* publish fails */
	enum switch_alert_kind last_alert;
	enum switch_state last_state;
	char path[160];
};

static int64_t
mono(void *ctx)
{
	return ((struct world *)ctx)->now;
}

static int64_t
wall(void *ctx)
{
	return 1700000000000000 + ((struct world *)ctx)->now;
}

static bool
exists(void *ctx, const char *router, const char *version)
{
	(void)ctx;
	return strcmp(router, "knn") == 0 ? version[0] == 'v' || strcmp(version, SWITCH_CONFIGURED) == 0
		: strcmp(router, "other") == 0 && version[0] == 'w';
}

static int
publish(void *ctx, struct err *e)
{
	struct world *w = ctx;

	w->published++;
	return w->refuse ? err_set(e, ERR_INPUT, "cannot be loaded") : 0;
}

static void
alerted(void *ctx, const struct switch_alert *a)
{
	struct world *w = ctx;

	w->alerts++;
	w->last_alert = a->kind;
}

static void
ended(void *ctx, const struct switch_op *o)
{
	struct world *w = ctx;

	w->ended++;
	w->last_state = o->state;
}

static const struct switch_settings settings = { { true, 0.05, 5 }, ROLLOUT_GRADUAL, 0.05, 5, "knn" };

static void
begin(struct world *w)
{
	struct switch_hooks h = { mono, wall, exists, publish, alerted, ended, w };
	struct err e = ERR_INIT;

	w->db = switchdb_open(w->path, &e);
	cr_assert_not_null(w->db, "%s", e.msg);
	w->s = switcher_new(w->db, &h, &settings, &e);
	cr_assert_not_null(w->s, "%s", e.msg);
}

/* As SIGKILL: nothing is told on the way out. */
static void
crash(struct world *w)
{
	char copy[180], name[2][200];

	/* What the database holds at this moment is what the next process finds. */
	(void)snprintf(copy, sizeof copy, "%.150s.k", w->path);
	for (int i = 0; i < 2; i++) {
		char command[450];

		(void)snprintf(name[0], sizeof name[0], "%s%s", w->path, i == 0 ? "" : "-wal");
		(void)snprintf(name[1], sizeof name[1], "%s%s", copy, i == 0 ? "" : "-wal");
		(void)snprintf(command, sizeof command, "cp %s %s 2>/dev/null", name[0], name[1]);
		cr_assert(system(command) == 0 || i == 1);
	}
	switcher_free(w->s);
	switchdb_close(w->db);
	(void)snprintf(w->path, sizeof w->path, "%.159s", copy);
	begin(w);
}

static void
setup(struct world *w)
{
	memset(w, 0, sizeof *w);
	strcpy(w->path, "/tmp/llmr-switch-XXXXXX");
	cr_assert_not_null(mkdtemp(w->path));
	strcat(w->path, "/s.db");
	begin(w);
}

static void
done(struct world *w)
{
	char command[200];
	char *at = strstr(w->path, "/s.db");

	switcher_free(w->s);
	switchdb_close(w->db);
	*at = '\0';
	(void)snprintf(command, sizeof command, "rm -r %s", w->path);
	cr_assert_eq(system(command), 0);
}

static const struct switch_op *
start(struct world *w, const char *router, const char *version, enum rollout_kind kind, const char *config)
{
	const struct switch_op *o = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(switcher_start(w->s, &(struct switch_request){ router, version, true, kind, slice_str(config) }, &o,
		&e), 0, "%s", e.msg);
	return o;
}

/* So many requests to a version, some of them failed. */
static void
requests(struct world *w, const char *router, const char *version, int n, int failed, double seconds)
{
	struct arm_stats *a = switcher_stats(w->s, router, version, NULL);

	for (int i = 0; i < n; i++)
		arm_count(a, &(struct arm_outcome){ .counts = true, .failed = i < failed, .seconds = seconds, .score = NAN });
}

static void
pass(struct world *w, int64_t us)
{
	w->now += us;
	switcher_tick(w->s);
}

/* The share of a version in percent; -1: it has no arm. */
static double
share(struct world *w, const char *router, const char *version)
{
	struct switch_view v;
	unsigned total = 0;

	for (size_t i = 0; i < switcher_views(w->s); i++) {
		switcher_view(w->s, i, &v);
		if (strcmp(v.router, router) != 0)
			continue;
		for (size_t k = 0; k < v.n; k++)
			total += v.weight[k];
		for (size_t k = 0; k < v.n; k++) {
			if (strcmp(v.version[k], version) == 0)
				return 100.0 * v.weight[k] / total;
		}
	}
	return -1;
}

Test(rollout, the_seeds_parameters)
{
	struct rollout_defaults d = { true, 0.05, 5 };
	struct rollout o;
	struct err e = ERR_INIT;

	cr_assert_eq(rollout_read(&o, ROLLOUT_GRADUAL, &d, SLICE_LIT("{\"duration_minutes\": 60, \"steps\": 3}"), &e), 0);
	cr_assert_eq(o.n_stages, 3);
	cr_assert_eq(o.percent[0], 33);
	cr_assert_eq(o.percent[1], 66);
	cr_assert_eq(o.percent[2], 100);
	cr_assert_eq(o.stage_seconds, 1200);
	cr_assert_eq(rollout_read(&o, ROLLOUT_GRADUAL, &d, SLICE_LIT("{\"steps\": [10, 25, 50, 100]}"), &e), 0);
	cr_assert_eq(o.n_stages, 4);
	cr_assert_eq(o.percent[1], 25);
	cr_assert_eq(rollout_read(&o, ROLLOUT_CANARY, &d, SLICE_LIT("{\"initial_percentage\": 5, \"step_percentage\": 15,"
		"\"evaluation_period_minutes\": 15, \"max_error_rate_threshold\": 0.02}"), &e), 0);
	cr_assert_eq(o.n_stages, 7);
	cr_assert_eq(o.percent[0], 5);
	cr_assert_eq(o.percent[6], 95);
	cr_assert_eq(o.stage_seconds, 900);
	cr_assert_eq(o.max_error_rate, 0.02);
	cr_assert_eq(rollout_read(&o, ROLLOUT_AB, &d, SLICE_LIT("{\"traffic_percentage\":30,\"test_duration_hours\":24}"),
		&e), 0);
	cr_assert_eq(o.percent[0], 30);
	cr_assert_not(o.promote);
	cr_assert_eq(rollout_total(&o), 100);
	o.percent[0] = 0.5;
	cr_assert_eq(rollout_total(&o), 10000);
}

Test(rollout, what_is_wrong_is_refused)
{
	static const struct { enum rollout_kind kind; const char *json; } bad[] = {
		{ ROLLOUT_GRADUAL, "{\"steps\": 0}" }, { ROLLOUT_GRADUAL, "{\"steps\": 1.5}" },
		{ ROLLOUT_GRADUAL, "{\"steps\": [10, 5, 100]}" }, { ROLLOUT_GRADUAL, "{\"steps\": [10, 50]}" },
		{ ROLLOUT_GRADUAL, "{\"steps\": []}" }, { ROLLOUT_GRADUAL, "{\"steps\": [10, 200]}" },
		{ ROLLOUT_GRADUAL, "{\"steps\": \"3\"}" }, { ROLLOUT_GRADUAL, "{\"traffic_percentage\": 5}" },
		{ ROLLOUT_CANARY, "{\"initial_percentage\": 0}" }, { ROLLOUT_CANARY, "{\"initial_percentage\": 101}" },
		{ ROLLOUT_CANARY, "{\"max_error_rate_threshold\": 2}" }, { ROLLOUT_CANARY, "{\"steps\": 3}" },
		{ ROLLOUT_AB, "{\"on_end\": \"keep\"}" }, { ROLLOUT_AB, "{\"test_duration_hours\": -1}" },
		{ ROLLOUT_IMMEDIATE, "{\"nope\": 1}" }, { ROLLOUT_SHADOW, "{\"health_checks\": true}" },
		{ ROLLOUT_CANARY, "[]" }, { ROLLOUT_CANARY, "{\"step_percentage\":" }, { ROLLOUT_CANARY, "{} {}" },
	};
	struct rollout_defaults d = { true, 0.05, 5 };
	struct rollout o;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e = ERR_INIT;

		cr_assert_eq(rollout_read(&o, bad[i].kind, &d, slice_str(bad[i].json), &e), -1, "%s", bad[i].json);
		cr_assert_eq(e.code, ERR_USAGE, "%s", bad[i].json);
	}
}

Test(rollout, written_and_read_back)
{
	static const char *const config[] = { "{\"watch_minutes\": 7}", "{\"steps\": [1, 30, 100], \"duration_minutes\": 9}",
		"{\"initial_percentage\": 2.5, \"min_samples\": 7}", "{\"on_end\": \"promote\", \"traffic_percentage\": 12}",
		"{\"test_duration_hours\": 3}" };
	struct rollout_defaults d = { true, 0.05, 5 }, other = { false, 0.5, 1 };

	for (int k = 0; k <= ROLLOUT_SHADOW; k++) {
		struct rollout a, b;
		struct buf text = BUF_INIT;
		struct jsonw w;

		cr_assert_eq(rollout_read(&a, (enum rollout_kind)k, &d, slice_str(config[k]), NULL), 0);
		jsonw_init(&w, &text);
		rollout_write(&w, &a);
		cr_assert_eq(rollout_read(&b, (enum rollout_kind)k, &other, slice_str(buf_cstr(&text)), NULL), 0);
		cr_assert_eq(a.n_stages, b.n_stages);
		cr_assert_eq(memcmp(a.percent, b.percent, sizeof a.percent), 0);
		cr_assert_float_eq(a.stage_seconds, b.stage_seconds, 1e-6);
		cr_assert_eq(a.promote, b.promote);
		if (k != ROLLOUT_SHADOW) {
			cr_assert_eq(a.watched, b.watched);
			cr_assert_eq(a.max_error_rate, b.max_error_rate);
			cr_assert_eq(a.min_samples, b.min_samples);
		}
		buf_finish(&text);
	}
}

Test(rollout, interval_is_wilsons)
{
	double lo, hi;

	rollout_interval(5, 100, &lo, &hi);	/* scipy.stats.binomtest(5, 100).proportion_ci(method='wilson') */
	cr_assert_float_eq(lo, 0.021543679, 1e-8);
	cr_assert_float_eq(hi, 0.111750469, 1e-8);
	rollout_interval(0, 20, &lo, &hi);
	cr_assert_eq(lo, 0);
	cr_assert_float_eq(hi, 0.161125158, 1e-8);
}

/* Values of Python's hashlib: int.from_bytes(sha256(key).digest()[:8], "big") % total. */
Test(sticky, the_seeds_hash)
{
	static const struct { const char *key; uint64_t total, bucket; } v[] = {
		{ "user:alice:model:gpt-4", 100, 24 }, { "user:bob:model:auto", 100, 74 },
		{ "tenant:acme:user:alice:model:gpt-4", 100, 72 }, { "request:r-1:model:auto", 100, 70 },
		{ "user:alice:model:gpt-4", 10000, 3824 }, { "user:zo\xc3\xab:model:m", 3, 0 },
	};

	for (size_t i = 0; i < sizeof v / sizeof v[0]; i++)
		cr_assert_eq(arm_bucket(v[i].key, strlen(v[i].key), v[i].total), v[i].bucket, "%s", v[i].key);
}

static void
key_is(struct want w, const char *key)
{
	char out[128];
	size_t n = arm_key(&w, out, sizeof out);

	cr_assert(n == strlen(key) && memcmp(out, key, n) == 0, "%.*s is not %s", (int)n, out, key);
}

Test(sticky, keys)
{
	struct slice alice = SLICE_LIT("alice"), acme = SLICE_LIT("acme"), id = SLICE_LIT("r-1");
	char small[10];

	key_is((struct want){ .group = "gpt-4", .user = alice, .tenant = acme, .request_id = id },
		"tenant:acme:user:alice:model:gpt-4");
	key_is((struct want){ .group = "gpt-4", .user = alice, .request_id = id }, "user:alice:model:gpt-4");
	key_is((struct want){ .tenant = acme, .request_id = id }, "request:r-1:model:auto");
	cr_assert_eq(arm_key(&(struct want){ .user = alice }, small, sizeof small), sizeof small);
}

Test(sticky, shares_are_kept_and_users_move_once)
{
	struct err e = ERR_INIT;
	struct arm arm[2] = { { .version = "old", .stats = arm_stats_new("r", "old", &e) },
		{ .version = "new", .stats = arm_stats_new("r", "new", &e) } };
	struct lineup l = { "r", true, arm, 2, 100, NULL };
	static const unsigned step[] = { 5, 30, 60, 100 };
	size_t of_new[4] = { 0 };

	for (int u = 0; u < 4000; u++) {
		char user[16];
		bool was_new = false;

		(void)snprintf(user, sizeof user, "u%d", u);
		for (int s = 0; s < 4; s++) {
			struct want w = { .user = slice_str(user) };

			arm[1].weight = step[s];
			arm[0].weight = 100 - step[s];
			arm_choose(&l, &w);
			cr_assert(!was_new || w.arm == &arm[1], "%s went back", user);
			was_new = w.arm == &arm[1];
			of_new[s] += was_new;
			arm_end(w.arm);
		}
	}
	cr_assert_eq(of_new[3], 4000);
	for (int s = 0; s < 3; s++)
		cr_assert_float_eq((double)of_new[s] / 40, step[s], 2.5);
	cr_assert_eq(atomic_load(&arm[0].stats->in_flight), 0);
	arm_stats_free(arm[0].stats);
	arm_stats_free(arm[1].stats);
}

Test(switching, immediate)
{
	struct world w;
	const struct switch_op *o;
	struct err e = ERR_INIT;

	setup(&w);
	cr_assert_str_eq(switcher_active(w.s, NULL), SWITCH_CONFIGURED);
	o = start(&w, NULL, "v2", ROLLOUT_IMMEDIATE, NULL);
	cr_assert_eq(o->state, SWITCH_DONE);
	cr_assert_str_eq(switcher_active(w.s, "knn"), "v2");
	cr_assert_eq(share(&w, "knn", "v2"), 100);
	cr_assert_eq(switcher_start(w.s, &(struct switch_request){ .version = "v2" }, &o, &e), -1);
	cr_assert_eq(e.code, ERR_NO);
	e = (struct err)ERR_INIT;
	cr_assert_eq(switcher_start(w.s, &(struct switch_request){ .version = "x" }, &o, &e), -1);
	cr_assert_eq(e.code, ERR_NOINPUT);
	e = (struct err)ERR_INIT;
	cr_assert_eq(switcher_rollback(w.s, "knn", NULL, &o, &e), 0);
	cr_assert_str_eq(switcher_active(w.s, "knn"), SWITCH_CONFIGURED);
	done(&w);
}

Test(switching, what_cannot_be_loaded_changes_nothing)
{
	struct world w;
	const struct switch_op *o;
	struct err e = ERR_INIT;

	setup(&w);
	w.refuse = true;
	cr_assert_eq(switcher_start(w.s, &(struct switch_request){ .version = "v2" }, &o, &e), -1);
	cr_assert_eq(e.code, ERR_INPUT);
	cr_assert_str_eq(switcher_active(w.s, NULL), SWITCH_CONFIGURED);
	cr_assert_eq(share(&w, "knn", "v2"), -1);
	cr_assert_eq(switcher_nth_op(w.s, 0)->state, SWITCH_FAILED);
	w.refuse = false;
	start(&w, NULL, "v2", ROLLOUT_GRADUAL, NULL);	/* it does not stand in the way */
	done(&w);
}

Test(switching, gradual_goes_by_the_clock)
{
	struct world w;
	const struct switch_op *o;

	setup(&w);
	o = start(&w, NULL, "v2", ROLLOUT_GRADUAL, "{\"duration_minutes\": 60, \"steps\": 3}");
	cr_assert_eq(share(&w, "knn", "v2"), 33);
	pass(&w, 19 * MINUTE);
	cr_assert_eq(share(&w, "knn", "v2"), 33);
	pass(&w, 2 * MINUTE);
	cr_assert_eq(share(&w, "knn", "v2"), 66);
	pass(&w, 20 * MINUTE);
	cr_assert_eq(share(&w, "knn", "v2"), 100);
	cr_assert_eq(o->state, SWITCH_RUNNING);
	pass(&w, 20 * MINUTE);
	cr_assert_eq(o->state, SWITCH_DONE);
	cr_assert_str_eq(switcher_active(w.s, NULL), "v2");
	cr_assert_str_eq(switcher_previous(w.s, NULL), SWITCH_CONFIGURED);
	cr_assert_not_null(strstr(o->report, "\"difference\""));
	done(&w);
}

Test(switching, canary_waits_for_its_sample)
{
	struct world w;
	const struct switch_op *o;

	setup(&w);
	o = start(&w, NULL, "v2", ROLLOUT_CANARY, "{\"initial_percentage\": 5, \"step_percentage\": 45, \"min_samples\": 40}");
	cr_assert_eq(share(&w, "knn", "v2"), 5);
	requests(&w, "knn", "v2", 39, 0, 0.2);
	pass(&w, 3 * HOUR);
	cr_assert_eq(share(&w, "knn", "v2"), 5, "39 are too few, however long it takes");
	requests(&w, "knn", "v2", 1, 1, 0.2);
	pass(&w, MINUTE);
	cr_assert_eq(share(&w, "knn", "v2"), 50, "40 with 1 error are enough");
	requests(&w, "knn", "v2", 100, 2, 0.2);
	pass(&w, 14 * MINUTE);
	cr_assert_eq(share(&w, "knn", "v2"), 50, "not before its time");
	pass(&w, MINUTE);
	cr_assert_eq(share(&w, "knn", "v2"), 95);
	requests(&w, "knn", "v2", 100, 2, 0.2);
	pass(&w, 15 * MINUTE);
	cr_assert_eq(o->state, SWITCH_DONE);
	cr_assert_str_eq(switcher_active(w.s, NULL), "v2");
	cr_assert_eq(w.alerts, 0);
	done(&w);
}

Test(switching, a_bad_error_rate_takes_it_out)
{
	struct world w;
	const struct switch_op *o;

	setup(&w);
	o = start(&w, NULL, "v2", ROLLOUT_CANARY, NULL);
	requests(&w, "knn", "v2", 5, 5, 0.1);
	pass(&w, 1000000);
	cr_assert_eq(o->state, SWITCH_ROLLED_BACK, "five of five failed: no need to wait");
	cr_assert_eq(share(&w, "knn", SWITCH_CONFIGURED), 100);
	cr_assert_eq(w.last_alert, SWITCH_ALERT_ROLLBACK);
	cr_assert_eq(w.last_state, SWITCH_ROLLED_BACK);
	o = start(&w, NULL, "v2", ROLLOUT_CANARY, NULL);
	requests(&w, "knn", "v2", 49, 4, 0.1);
	pass(&w, 1000000);
	cr_assert_eq(o->state, SWITCH_RUNNING, "4 of 49 may be chance");
	requests(&w, "knn", "v2", 1, 0, 0.1);
	pass(&w, 1000000);
	cr_assert_eq(o->state, SWITCH_ROLLED_BACK, "8 %% with the whole sample at hand: %s", o->reason);
	done(&w);
}

Test(switching, a_bad_p95_takes_it_out)
{
	struct world w;
	const struct switch_op *o;

	setup(&w);
	o = start(&w, NULL, "v2", ROLLOUT_GRADUAL, "{\"max_latency_p95_ms\": 800, \"min_samples\": 20}");
	requests(&w, "knn", "v2", 19, 0, 0.1);
	requests(&w, "knn", SWITCH_CONFIGURED, 100, 100, 9);
	pass(&w, 1000000);
	cr_assert_eq(o->state, SWITCH_RUNNING, "the old version's figures do not tell against the new one");
	requests(&w, "knn", "v2", 2, 0, 1.5);
	pass(&w, 1000000);
	cr_assert_eq(o->state, SWITCH_ROLLED_BACK);
	cr_assert_not_null(strstr(o->reason, "P95"));
	done(&w);
}

Test(switching, health_checks_off_let_it_go_on)
{
	struct world w;
	const struct switch_op *o;

	setup(&w);
	o = start(&w, NULL, "v2", ROLLOUT_GRADUAL, "{\"health_checks\": false, \"steps\": 1, \"duration_minutes\": 1}");
	requests(&w, "knn", "v2", 100, 100, 0.1);
	pass(&w, MINUTE);
	cr_assert_eq(o->state, SWITCH_DONE);
	done(&w);
}

Test(switching, ab_test_reports_and_returns)
{
	struct world w;
	const struct switch_op *o;

	setup(&w);
	o = start(&w, NULL, "v2", ROLLOUT_AB, "{\"traffic_percentage\": 30, \"test_duration_hours\": 24}");
	cr_assert_eq(share(&w, "knn", "v2"), 30);
	requests(&w, "knn", "v2", 100, 2, 0.1);
	requests(&w, "knn", SWITCH_CONFIGURED, 200, 8, 0.2);
	pass(&w, 23 * HOUR);
	cr_assert_eq(o->state, SWITCH_RUNNING);
	pass(&w, HOUR);
	cr_assert_eq(o->state, SWITCH_DONE);
	cr_assert_str_eq(switcher_active(w.s, NULL), SWITCH_CONFIGURED, "back to the old arm");
	/* 2/100 - 8/200; Newcombe's interval by the formula in Python */
	cr_assert_not_null(strstr(o->report, "\"error_rate\":{\"value\":-0.02,\"lo\":-0.0596"), "%s", o->report);
	o = start(&w, NULL, "v2", ROLLOUT_AB, "{\"on_end\": \"promote\", \"test_duration_hours\": 1}");
	pass(&w, HOUR);
	cr_assert_str_eq(switcher_active(w.s, NULL), "v2");
	done(&w);
}

Test(switching, a_shadow_gets_no_traffic)
{
	struct world w;
	const struct switch_op *o;
	struct switch_view v;
	struct arm_stats *a;

	setup(&w);
	o = start(&w, NULL, "v2", ROLLOUT_SHADOW, "{\"test_duration_hours\": 2}");
	switcher_view(w.s, 0, &v);
	cr_assert_eq(v.n, 1);
	cr_assert_str_eq(v.shadow, "v2");
	a = switcher_stats(w.s, "knn", "v2", NULL);
	atomic_store(&a->shadowed, 10);
	atomic_store(&a->agreed, 9);
	pass(&w, 2 * HOUR);
	cr_assert_eq(o->state, SWITCH_DONE);
	cr_assert_str_eq(switcher_active(w.s, NULL), SWITCH_CONFIGURED);
	cr_assert_not_null(strstr(o->report, "\"agreement\":{\"value\":0.9"), "%s", o->report);
	done(&w);
}

Test(switching, several_routers_at_once)
{
	struct world w;
	const struct switch_op *a, *b;
	struct err e = ERR_INIT;

	setup(&w);
	cr_assert_eq(switcher_start(w.s, &(struct switch_request){ .router = "other", .version = "w1", .has_kind = true,
		.kind = ROLLOUT_CANARY }, &a, &e), -1, "nothing to go back to");
	cr_assert_eq(e.code, ERR_NO);
	start(&w, "other", "w1", ROLLOUT_IMMEDIATE, NULL);
	a = start(&w, NULL, "v2", ROLLOUT_CANARY, NULL);
	b = start(&w, "other", "w2", ROLLOUT_GRADUAL, NULL);
	e = (struct err)ERR_INIT;
	cr_assert_eq(switcher_start(w.s, &(struct switch_request){ .version = "v3" }, &a, &e), -1);
	cr_assert_eq(e.code, ERR_NO);
	requests(&w, "other", "w2", 10, 10, 0.1);
	pass(&w, 1000000);
	cr_assert_eq(b->state, SWITCH_ROLLED_BACK);
	cr_assert_eq(a->state, SWITCH_RUNNING);
	e = (struct err)ERR_INIT;
	cr_assert_eq(switcher_abort(w.s, a->id, "enough", &e), 0);
	cr_assert_eq(a->state, SWITCH_ABORTED);
	cr_assert_str_eq(a->reason, "enough");
	cr_assert_eq(switcher_abort(w.s, a->id, NULL, &e), -1);
	cr_assert_eq(share(&w, "knn", SWITCH_CONFIGURED), 100);
	done(&w);
}

Test(switching, goes_on_after_a_crash_where_it_was)
{
	struct world w;
	const struct switch_op *o;
	char id[17];

	setup(&w);
	o = start(&w, NULL, "v2", ROLLOUT_CANARY, "{\"step_percentage\": 45, \"min_samples\": 50}");
	memcpy(id, o->id, sizeof id);
	requests(&w, "knn", "v2", 60, 1, 0.25);
	pass(&w, 15 * MINUTE);
	cr_assert_eq(share(&w, "knn", "v2"), 50);
	requests(&w, "knn", "v2", 30, 1, 0.25);
	pass(&w, 10 * MINUTE);
	w.now += 48 * HOUR;	/* it was down, and the clock was set meanwhile */
	crash(&w);
	cr_assert_eq(share(&w, "knn", "v2"), 50);
	o = switcher_op(w.s, id);
	cr_assert_not_null(o);
	cr_assert_eq(o->elapsed_us, 10 * MINUTE);
	pass(&w, 4 * MINUTE);
	requests(&w, "knn", "v2", 19, 0, 0.25);
	pass(&w, 2 * MINUTE);
	cr_assert_eq(share(&w, "knn", "v2"), 50, "49 of 50");
	requests(&w, "knn", "v2", 1, 0, 0.25);
	pass(&w, 1000000);
	cr_assert_eq(share(&w, "knn", "v2"), 95, "what was counted before the crash counts");
	requests(&w, "knn", "v2", 50, 0, 0.25);
	pass(&w, 15 * MINUTE);
	cr_assert_eq(o->state, SWITCH_DONE);
	crash(&w);
	cr_assert_str_eq(switcher_active(w.s, NULL), "v2");
	cr_assert_str_eq(switcher_previous(w.s, NULL), SWITCH_CONFIGURED);
	cr_assert_eq(switcher_op(w.s, id)->state, SWITCH_DONE);
	cr_assert_eq(switcher_ops(w.s), 1);
	done(&w);
}

Test(switching, latency_survives_too)
{
	struct world w;
	struct arm_stats *a;
	struct buf text = BUF_INIT;
	struct arm_stats *b;
	struct err e = ERR_INIT;

	setup(&w);
	requests(&w, "knn", "v2", 95, 0, 0.1);
	requests(&w, "knn", "v2", 5, 0, 3);
	a = switcher_stats(w.s, "knn", "v2", NULL);
	switchstats_save(&text, a, NULL);
	b = arm_stats_new("knn", "v9", &e);
	cr_assert_eq(switchstats_load(buf_cstr(&text), b, NULL), 0);
	cr_assert_eq(memcmp(&a->stage.latency, &b->stage.latency, sizeof a->stage.latency), 0);
	cr_assert_eq(switchstats_load("[{\"stage\":{\"n\":", b, NULL), 0);
	cr_assert_eq(switchstats_load("nonsense", b, NULL), 0);
	arm_stats_free(b);
	buf_finish(&text);
	done(&w);
}

Test(switching, a_version_that_is_gone_after_a_restart_gives_way)
{
	struct world w;
	const struct switch_op *o;

	setup(&w);
	start(&w, NULL, "v2", ROLLOUT_IMMEDIATE, NULL);
	o = start(&w, NULL, "v3", ROLLOUT_CANARY, NULL);
	switcher_give_up(w.s, "knn", "v3", "no such file");
	cr_assert_eq(o->state, SWITCH_FAILED);
	cr_assert_eq(share(&w, "knn", "v2"), 100);
	switcher_give_up(w.s, "knn", "v2", "no such file");
	cr_assert_eq(share(&w, "knn", SWITCH_CONFIGURED), 100);
	cr_assert_eq(w.last_alert, SWITCH_ALERT_FAILED);
	done(&w);
}

Test(switching, alerts_once_until_it_is_well_again)
{
	struct world w;

	setup(&w);
	requests(&w, "knn", SWITCH_CONFIGURED, 30, 3, 0.1);
	pass(&w, 1000000);
	pass(&w, 1000000);
	cr_assert_eq(w.alerts, 1);
	cr_assert_eq(w.last_alert, SWITCH_ALERT_ERROR_RATE);
	requests(&w, "knn", SWITCH_CONFIGURED, 100, 0, 6);
	pass(&w, 1000000);
	cr_assert_eq(w.alerts, 2);
	cr_assert_eq(w.last_alert, SWITCH_ALERT_LATENCY);
	done(&w);
}

Test(switching, standing_weights)
{
	static const char *const bad[] = { "{", "[]", "{\"a\": -1}", "{\"a\": 0}", "{\"a\": 1.5}", "{\"a\": \"1\"}", "7" };
	struct world w;
	const struct switch_op *o;
	struct err e = ERR_INIT;

	setup(&w);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		cr_assert_eq(switcher_weights(w.s, bad[i], &e), -1, "%s", bad[i]);
	e = (struct err)ERR_INIT;
	cr_assert_eq(switcher_weights(w.s, "{\"baseline\": 90, \"candidate\": 10}", &e), 0, "%s", e.msg);
	cr_assert_eq(share(&w, "knn", "baseline"), 90);
	cr_assert_eq(share(&w, "knn", "candidate"), 10);
	cr_assert_eq(switcher_start(w.s, &(struct switch_request){ .version = "v2" }, &o, &e), -1);
	cr_assert_eq(e.code, ERR_NO);
	done(&w);
}

Test(versions, references_stay_beneath_their_folder)
{
	char dir[] = "/tmp/llmr-refs-XXXXXX", path[128];
	struct err e = ERR_INIT;
	int fd;

	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	cr_assert_eq(mkdir("m", 0700), 0);
	cr_assert_eq(mkdir("m/sub", 0700), 0);
	(void)close(open("m/sub/a", O_CREAT | O_WRONLY, 0600));
	(void)close(open("secret", O_CREAT | O_WRONLY, 0600));
	cr_assert_eq(symlink("../secret", "m/out"), 0);
	cr_assert_eq(symlink("sub/a", "m/in"), 0);
	cr_assert_eq(symlink("..", "m/up"), 0);
	cr_assert_eq(mkfifo("m/fifo", 0600), 0);
	(void)snprintf(path, sizeof path, "%s/m/sub/a", dir);
	cr_assert_geq(fd = versions_open_beneath("m", "sub/a", &e), 0, "%s", e.msg);
	(void)close(fd);
	cr_assert_geq(fd = versions_open_beneath("m", "in", &e), 0, "a link that stays within");
	(void)close(fd);
	cr_assert_geq(fd = versions_open_beneath("m", path, &e), 0, "a path beneath it");
	(void)close(fd);
	for (const char *const *bad = (const char *const[]){ "out", "../secret", "up/secret", "/etc/passwd", NULL }; *bad; bad++) {
		cr_assert_eq(versions_open_beneath("m", *bad, &e), -1, "%s", *bad);
		cr_assert_eq(e.code, ERR_NOPERM, "%s: %s", *bad, e.msg);
	}
	for (const char *const *bad = (const char *const[]){ "sub", "fifo", "gone", NULL }; *bad; bad++) {
		cr_assert_eq(versions_open_beneath("m", *bad, &e), -1, "%s", *bad);
		cr_assert_eq(e.code, ERR_NOINPUT, "%s: %s", *bad, e.msg);
	}
	cr_assert_eq(chdir("/"), 0);
	(void)snprintf(path, sizeof path, "rm -r %s", dir);
	cr_assert_eq(system(path), 0);
}

Test(versions, names)
{
	cr_assert(versions_is_name(SLICE_LIT("v2.0_rc-1")));
	cr_assert_not(versions_is_name(SLICE_LIT("")));
	cr_assert_not(versions_is_name(SLICE_LIT(".hidden")));
	cr_assert_not(versions_is_name(SLICE_LIT("a/b")));
	cr_assert_not(versions_is_name(SLICE_LIT("a@b")));
	cr_assert_not(versions_is_name(SLICE_LIT("12345678901234567890123456789012345678901234567890123456789012345")));
}

Test(switchapi, bodies)
{
	static const char *const bad[] = { "[]", "{", "{\"name\": 7}", "{\"nope\": 1}", "{\"metadata\": []}",
		"{\"success\": 1}", "{\"score\": 2}", "{\"latency_ms\": -1}", "{\"name\": \"a\\u0000b\"}", "{} x" };
	struct arena a = ARENA_INIT;
	struct switchapi_body b;
	struct err e = ERR_INIT;

	cr_assert_eq(switchapi_read(SLICE_LIT("{\"model_id\": \"r\", \"target_version\": \"v2\", \"strategy_type\": \"canary\","
		" \"strategy_config\": {\"a\": 1}, \"metadata\": null, \"score\": 0.5}"), &a, &b, &e), 0, "%s", e.msg);
	cr_assert_str_eq(b.name, "r");
	cr_assert_str_eq(b.version, "v2");
	cr_assert_str_eq(b.strategy, "canary");
	cr_assert_str_eq(b.config, "{\"a\": 1}");
	cr_assert_null(b.metadata);
	cr_assert_eq(b.score, 0.5);
	cr_assert_eq(b.success, -1);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		e = (struct err)ERR_INIT;
		cr_assert_eq(switchapi_read(slice_str(bad[i]), &a, &b, &e), -1, "%s", bad[i]);
		cr_assert_eq(e.code, ERR_USAGE, "%s", bad[i]);
	}
	arena_finish(&a);
}
