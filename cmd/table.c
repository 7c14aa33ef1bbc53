#include "table.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cmd.h"

#define ANY ((size_t)-1)

const struct exit_status exit_statuses[] = {
	{ 0, "done" },
	{ 1, "the answer is no: a gate or budget was missed, nothing was found where --fail-empty asks for it" },
	{ 64, "usage: unknown command or option, bad value" },
	{ 65, "bad input: malformed data, file and line or byte are named" },
	{ 66, "no such input: missing, unreadable, a folder in place of a file" },
	{ 69, "service unavailable after retries" },
	{ 70, "a bug in llmr" },
	{ 73, "output cannot be created" },
	{ 74, "input/output error, full disk" },
	{ 75, "cut short or out of memory: try again, what was done is kept" },
	{ 77, "not permitted: the server answered 401 or 403, or a host is not allowed" },
	{ 78, "bad configuration" },
	{ 130, "interrupted" },
	{ -1, NULL }
};

const struct opt global_opts[] = {
	{ .s = 'h', .l = "help", .type = OPT_FLAG, .help = "show help and exit" },
	{ .s = 'V', .l = "version", .type = OPT_FLAG,
	  .help = "show version, libraries and CPU features, and exit" },
	{ .s = 'q', .l = "quiet", .type = OPT_FLAG, .help = "print errors only" },
	{ .s = 'v', .l = "verbose", .type = OPT_FLAG, .many = true,
	  .help = "print more; twice for debugging" },
	{ .l = "json", .type = OPT_FLAG, .help = "write results, summaries and errors as JSON" },
	{ .l = "color", .type = OPT_CHOICE, .arg = "WHEN", .choices = "auto|always|never",
	  .dflt = "auto", .help = "colour on standard error; NO_COLOR and TERM=dumb are obeyed" },
	{ .l = "progress", .type = OPT_CHOICE, .arg = "WHEN", .choices = "auto|always|never",
	  .dflt = "auto", .help = "progress bar on standard error; auto means on a terminal" },
	{ .l = "log", .type = OPT_CHOICE, .arg = "FORM", .choices = "text|json|error|warning|info|debug", .dflt = "text",
	  .help = "messages on standard error: their form, or how many" },
	{ .l = "threads", .type = OPT_INT, .arg = "N", .lo = 1, .hi = 256,
	  .help = "threads to use; by default the cores that the cgroup grants" },
	{ .l = "ca-file", .type = OPT_FILE, .arg = "FILE", .env = "CURL_CA_BUNDLE",
	  .help = "certificates to trust beside the system's" },
	{ .l = "ca-only", .type = OPT_FLAG, .help = "trust the certificates of --ca-file alone" },
	{ .l = "allowed-hosts", .type = OPT_STRING, .arg = "LIST",
	  .help = "refuse to connect to any host but these (comma-separated)" },
	{ .l = "settings", .type = OPT_FILE, .arg = "FILE",
	  .help = "settings file; keys are option names" },
	{ .l = "state-dir", .type = OPT_DIR, .arg = "DIR",
	  .help = "where state lives; by default $XDG_STATE_HOME/llmr" },
	{ .l = NULL }
};

/* Which keys are trusted, and what a model must be signed by. */
#define KEY_OPTS \
	{ .s = 'p', .l = "public-key", .type = OPT_FILE, .many = true, .arg = "FILE", \
	  .env = "LLMROUTER_MODEL_PUBLIC_KEY_PATH", \
	  .help = "trusted public key; may be repeated; by default those of the trust folder" }, \
	{ .l = "public-key-b64", .type = OPT_STRING, .arg = "TEXT", .env = "LLMROUTER_MODEL_PUBLIC_KEY_B64", \
	  .help = "trusted public key in base64: 32 raw bytes, a PEM, or a minisign key's line" }, \
	{ .l = "trusted-dir", .type = OPT_DIR, .arg = "DIR", \
	  .help = "folder of trusted keys; by default $XDG_CONFIG_HOME/llmr/trusted" }, \
	{ .l = "revoked", .type = OPT_FILE, .many = true, .arg = "FILE", \
	  .help = "numbers of keys that count no more, one a line; may be repeated" }, \
	{ .l = "hmac-secret-file", .type = OPT_FILE, .arg = "FILE", \
	  .help = "secret of manifests signed by HMAC; or LLMROUTER_MODEL_HMAC_SECRET" }
#define TRUST_OPTS \
	KEY_OPTS, \
	{ .s = 'x', .l = "signature", .type = OPT_FILE, .arg = "FILE", \
	  .help = "signature file; by default FILE.minisig or the folder's manifest.json" }, \
	{ .l = "manifest", .type = OPT_FILE, .arg = "FILE", .env = "LLMROUTER_MODEL_MANIFEST_PATH", \
	  .help = "signed manifest that lists the file; by default manifest.json beside it" }, \
	{ .l = "root", .type = OPT_DIR, .arg = "DIR", \
	  .help = "folder that the manifest's paths start from; by default the manifest's own" }
#define REQUIRE_OPT \
	{ .l = "require-signature", .type = OPT_FLAG, .env = "LLMROUTER_ENFORCE_SIGNED_MODELS", \
	  .help = "refuse a model that no trusted key has signed" }
#define REQUIRE_OPTS \
	REQUIRE_OPT, \
	TRUST_OPTS
#define PASSWORD_OPTS \
	{ .l = "password-file", .type = OPT_FILE, .arg = "FILE", \
	  .help = "file whose first line is the secret key's password; or LLMR_PASSWORD" }, \
	{ .l = "password-fd", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 1024, \
	  .help = "descriptor to read the password from" }

static const struct opt extract_opts[] = {
	{ .l = "from", .type = OPT_CHOICE, .arg = "SOURCE", .choices = "jaeger|tempo|postgres|s3|file",
	  .dflt = "jaeger", .help = "where traces come from" },
	{ .l = "url", .type = OPT_STRING, .arg = "URL", .env = "JAEGER_QUERY_URL",
	  .dflt = "http://127.0.0.1:16686",
	  .help = "base address of the Jaeger query API or of Tempo, postgresql://..., s3://BUCKET/PREFIX" },
	{ .s = 'S', .l = "service", .type = OPT_STRING, .arg = "NAME", .env = "OTEL_SERVICE_NAME",
	  .dflt = "litellm-gateway", .help = "service whose traces to fetch" },
	{ .l = "operation", .type = OPT_STRING, .arg = "NAME",
	  .help = "only traces that hold a span of this name" },
	{ .l = "tag", .type = OPT_STRING, .many = true, .arg = "KEY=VALUE",
	  .help = "only traces with this tag; may be repeated" },
	{ .l = "query", .type = OPT_STRING, .arg = "TRACEQL",
	  .help = "which traces to fetch of Tempo, instead of --service, --operation and --tag" },
	{ .l = "tenant", .type = OPT_STRING, .arg = "NAME",
	  .help = "tenant of Tempo (X-Scope-OrgID)" },
	{ .l = "endpoint-url", .type = OPT_STRING, .arg = "URL",
	  .help = "address of the S3 service; by default AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's or AWS" },
	{ .l = "region", .type = OPT_STRING, .arg = "NAME",
	  .help = "region of the bucket; by default AWS_REGION or the profile's" },
	{ .l = "profile", .type = OPT_STRING, .arg = "NAME",
	  .help = "profile in AWS's configuration and credentials files" },
	{ .l = "since", .type = OPT_DURATION, .arg = "AGE", .dflt = "24h",
	  .help = "how far back to go from --end" },
	{ .l = "start", .type = OPT_TIME, .arg = "TIME",
	  .help = "begin of the time range (RFC 3339, @seconds); instead of --since" },
	{ .l = "end", .type = OPT_TIME, .arg = "TIME", .dflt = "now", .help = "end of the time range" },
	{ .l = "limit", .type = OPT_INT, .arg = "N", .lo = 1, .hi = 1000000, .dflt = "1000",
	  .help = "traces asked for in one request; a window that comes back full is halved; rows fetched at once" },
	{ .l = "concurrency", .type = OPT_INT, .arg = "N", .lo = 1, .hi = 64, .dflt = "2",
	  .help = "requests in flight; objects of S3 by default 16" },
	{ .l = "timeout", .type = OPT_DURATION, .arg = "TIME", .dflt = "60s",
	  .help = "limit for one request" },
	{ .l = "connect-timeout", .type = OPT_DURATION, .arg = "TIME", .dflt = "10s",
	  .help = "limit for making a connection" },
	{ .l = "retries", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 100, .dflt = "5",
	  .help = "attempts after the first, with growing pauses; Retry-After is obeyed" },
	{ .l = "auth-file", .type = OPT_FILE, .arg = "FILE",
	  .help = "file with user:password for basic authentication; or LLMR_JAEGER_USER and LLMR_JAEGER_PASSWORD" },
	{ .l = "token-file", .type = OPT_FILE, .arg = "FILE",
	  .help = "file with a bearer token; or LLMR_JAEGER_TOKEN" },
	{ .s = 'o', .l = "output", .type = OPT_FILE, .arg = "FILE", .dflt = "-",
	  .help = "OTLP JSON Lines to write; .gz and .zst compress" },
	{ .l = "state", .type = OPT_FILE, .arg = "FILE",
	  .help = "resume file; by default OUTPUT.state, none on standard output" },
	{ .l = "restart", .type = OPT_FLAG,
	  .help = "begin anew instead of going on from the resume file" },
	{ .l = "max-trace-bytes", .type = OPT_BYTES, .arg = "SIZE", .dflt = "256MiB",
	  .help = "a larger trace is left out and counted" },
	{ .l = "fail-empty", .type = OPT_FLAG, .help = "exit 1 when nothing was found" },
	{ .l = NULL }
};

static const struct opt convert_opts[] = {
	{ .l = "from", .type = OPT_CHOICE, .arg = "FORMAT",
	  .choices = "auto|jaeger|otlp|protobuf|dcrouter|routerbench|routellm|llmrouter|flat",
	  .dflt = "auto", .help = "input format; auto tells the trace formats apart" },
	{ .s = 'o', .l = "output", .type = OPT_FILE, .arg = "FILE", .dflt = "-",
	  .help = "routing records as JSON Lines; .gz and .zst compress" },
	{ .l = "out-dir", .type = OPT_DIR, .arg = "DIR",
	  .help = "write train and test sets, llm_data.json and metadata there instead" },
	{ .l = "test-split", .type = OPT_NUM, .arg = "SHARE", .lo = 0, .hi = 0.9, .dflt = "0.2",
	  .help = "share of queries in the test set of --out-dir" },
	{ .l = "seed", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 9e15, .dflt = "42",
	  .help = "seed of the split by query" },
	{ .l = "prompt", .type = OPT_CHOICE, .arg = "WHICH",
	  .choices = "last-user|first-user|conversation|all", .dflt = "last-user",
	  .help = "which messages make the query" },
	{ .l = "labels", .type = OPT_FILE, .arg = "FILE",
	  .help = "performance labels (JSON Lines or CSV) joined by trace id or query" },
	{ .l = "score", .type = OPT_STRING, .many = true, .arg = "RULE",
	  .help = "performance from signals: success, latency:2s, cost:0.01, 0.7*success+0.3*latency:2s" },
	{ .l = "map", .type = OPT_FILE, .arg = "FILE",
	  .help = "attribute map (YAML) that comes before the built-in one" },
	{ .l = "alias", .type = OPT_STRING, .many = true, .arg = "A=B",
	  .help = "call model A by the name B; may be repeated" },
	{ .l = "strip-provider", .type = OPT_FLAG,
	  .help = "drop the provider before the first slash of a model's name" },
	{ .l = "redact", .type = OPT_STRING, .many = true, .arg = "WHAT",
	  .help = "replace email, phone, card, key or regex:ERE in every text of a record (comma-separated)" },
	{ .l = "hash-users", .type = OPT_FLAG, .help = "replace user names by a digest" },
	{ .l = "dedupe", .type = OPT_FLAG, .help = "drop records whose trace and span came before" },
	{ .l = "shard", .type = OPT_STRING, .arg = "I/N",
	  .help = "only the I-th of N shards (0-based), split by trace id" },
	{ .l = "keep-zero-cost", .type = OPT_FLAG,
	  .help = "believe a cost of 0 in a trace; by default it counts as unknown" },
	{ .l = "join-window", .type = OPT_INT, .arg = "N", .lo = 1, .hi = 1e9, .dflt = "100000",
	  .help = "traces kept open for spans that come in several pieces" },
	{ .l = "max-bad", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 1e15, .dflt = "0",
	  .help = "bad lines to tolerate before the exit status says so" },
	{ .l = "max-trace-bytes", .type = OPT_BYTES, .arg = "SIZE", .dflt = "256MiB",
	  .help = "a larger trace is left out and counted" },
	{ .l = NULL }
};

/* How a choice is made: of every command that makes one (cmd/common/limits). */
#define LIMIT_OPTS \
	{ .l = "max-cost", .type = OPT_NUM, .arg = "USD", .lo = 0, .hi = 1e9, \
	  .help = "leave out models whose expected cost is above this" }, \
	{ .l = "cost-weight", .type = OPT_NUM, .arg = "W", .lo = 0, .hi = 1e9, .dflt = "0", \
	  .help = "score given up for one US dollar" }, \
	{ .l = "max-latency", .type = OPT_DURATION, .arg = "TIME", \
	  .help = "leave out models whose expected response time is above this" }, \
	{ .l = "latency-weight", .type = OPT_NUM, .arg = "W", .lo = 0, .hi = 1e9, .dflt = "0", \
	  .help = "score given up for one second" }, \
	{ .l = "candidates", .type = OPT_FILE, .arg = "FILE", \
	  .help = "candidates file: choose among these models alone" }, \
	{ .l = "require", .type = OPT_STRING, .arg = "A,B,...", \
	  .help = "choose among candidates with all of these capabilities" }, \
	{ .l = "explore-epsilon", .type = OPT_NUM, .arg = "P", .lo = 0, .hi = 1, .dflt = "0", \
	  .help = "chance of a uniform draw among the models in place of the best" }, \
	{ .l = "explore-temperature", .type = OPT_NUM, .arg = "T", .lo = 0, .hi = 1e6, .dflt = "0", \
	  .help = "draw by a softmax of the scores over T; 0 takes the best" }, \
	{ .l = "explore-max-cost", .type = OPT_NUM, .arg = "USD", .lo = 0, .hi = 1e9, \
	  .help = "explore only models whose expected cost is within this" }
#define MODE_OPTS \
	{ .l = "router-mode", .type = OPT_CHOICE, .arg = "MODE", \
	  .choices = "deterministic|probabilistic|transformed", \
	  .help = "how predictions become a choice, in place of what the router was trained to" }, \
	{ .l = "router-tau", .type = OPT_NUM, .arg = "T", .lo = 1e-6, .hi = 1e6, \
	  .help = "difference of scores that probabilistic counts as clear; 0.1 by default" }, \
	{ .l = "router-threshold", .type = OPT_NUM, .arg = "P", .lo = 0, .hi = 1, \
	  .help = "probability of the weak model serving from which it is chosen; 0.5 by default" }, \
	{ .l = "strong-share", .type = OPT_NUM, .arg = "SHARE", .lo = 0, .hi = 1, \
	  .help = "share of calls that go to the strong model, in place of a threshold" }

static const struct opt embed_opts[] = {
	{ .l = "embedder", .type = OPT_STRING, .arg = "NAME",
	  .help = "text to vector, where nothing is learned: bert:PATH or hash" },
	{ .l = "dtype", .type = OPT_CHOICE, .arg = "TYPE", .choices = "fp32|bf16|int8", .dflt = "bf16",
	  .help = "weights of bert:PATH where PATH is a folder; a packed file has its own" },
	{ .l = "truncate", .type = OPT_CHOICE, .arg = "WHICH", .choices = "head|tail|middle", .dflt = "head",
	  .help = "what bert keeps of a text longer than it can read: its head, its tail, or both without the middle" },
	{ .l = "text", .type = OPT_FLAG,
	  .help = "input lines are plain text; by default JSON objects with a query" },
	{ .l = "cache", .type = OPT_FILE, .arg = "FILE",
	  .help = "vectors of earlier runs, looked up and added to (sqlite3)" },
	{ .l = "restart", .type = OPT_FLAG,
	  .help = "begin anew instead of going on with what OUTPUT.part holds" },
	{ .s = 'o', .l = "output", .type = OPT_FILE, .arg = "FILE",
	  .help = "matrix to write, a float32 row for each line: .safetensors, .npy or .pt" },
	{ .l = NULL }
};

static const struct opt train_opts[] = {
	{ .l = "data", .type = OPT_FILE, .many = true, .arg = "FILE",
	  .help = "routing records to learn from; may be repeated" },
	{ .l = "from", .type = OPT_CHOICE, .arg = "FORMAT",
	  .choices = "records|dcrouter|routerbench|routellm|llmrouter|flat", .dflt = "records",
	  .help = "format of --data" },
	{ .l = "embedder", .type = OPT_STRING, .arg = "NAME",
	  .help = "text to vector: lsa, hash, shape, bert:PATH, or some joined; lsa (with hybrid: lsa+shape) by default" },
	{ .l = "dtype", .type = OPT_CHOICE, .arg = "TYPE", .choices = "fp32|bf16|int8", .dflt = "bf16",
	  .help = "weights of bert:PATH where PATH is a folder; a packed file has its own" },
	{ .l = "truncate", .type = OPT_CHOICE, .arg = "WHICH", .choices = "head|tail|middle", .dflt = "head",
	  .help = "what bert keeps of a prompt longer than it can read: its head, its tail, or both without the middle" },
	{ .l = "recipe", .type = OPT_FILE, .arg = "FILE",
	  .help = "training recipe in YAML; options given beside it count more" },
	{ .l = "hparam", .type = OPT_STRING, .many = true, .arg = "KEY=VALUE",
	  .help = "hyperparameter, such as n_neighbors=200; may be repeated" },
	{ .l = "objective", .type = OPT_CHOICE, .arg = "GOAL", .choices = "score|best",
	  .dflt = "score", .help = "predict each model's score, or the best model" },
	{ .l = "weak", .type = OPT_STRING, .arg = "MODEL",
	  .help = "choose between this model and --strong alone" },
	{ .l = "strong", .type = OPT_STRING, .arg = "MODEL", .help = "choose between this model and --weak alone" },
	{ .l = "strong-share", .type = OPT_NUM, .arg = "SHARE", .lo = 0, .hi = 1,
	  .help = "share of calls that go to the strong model" },
	{ .l = "candidates", .type = OPT_FILE, .arg = "FILE",
	  .help = "candidates file: those without data take part by their quality_score" },
	{ .l = "cv", .type = OPT_INT, .arg = "K", .lo = 2, .hi = 100,
	  .help = "cross-validate with K folds by query; the embedder is fitted anew in each" },
	{ .l = "search", .type = OPT_FLAG,
	  .help = "choose hyperparameters by successive halving; judged by --cv (5 folds), each searched anew" },
	{ .l = "grid", .type = OPT_STRING, .many = true, .arg = "KEY=V,V,...",
	  .help = "values that --search tries; all combinations if repeated" },
	{ .l = "save-oof", .type = OPT_FILE, .arg = "FILE",
	  .help = "write the predictions of --cv on queries left out, as JSON Lines" },
	{ .l = "sample-weights", .type = OPT_CHOICE, .arg = "HOW", .choices = "record|uniform|task",
	  .dflt = "record",
	  .help = "what queries count for: as the records say, the same, or each task the same" },
	{ .l = "checkpoint", .type = OPT_FILE, .arg = "FILE",
	  .help = "where an interrupted training is kept; OUTPUT.checkpoint by default" },
	{ .l = "resume", .type = OPT_FLAG,
	  .help = "go on with an interrupted training; the artifact is the same as without a break" },
	{ .l = "seed", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 9e15, .dflt = "42",
	  .help = "seed for folds and factorisation" },
	{ .l = "no-runs", .type = OPT_FLAG,
	  .help = "record this run nowhere (see llmr-runs); the same as LLMR_NO_RUNS=1" },
	{ .l = "store-queries", .type = OPT_FLAG,
	  .help = "keep the text of the queries in the artifact, for route --explain" },
	{ .s = 'o', .l = "output", .type = OPT_FILE, .arg = "FILE",
	  .help = "artifact to write (.safetensors), NAME.yaml beside it" },
	{ .l = NULL }
};

static const struct opt eval_opts[] = {
	{ .s = 'm', .l = "model", .type = OPT_FILE, .arg = "FILE", .help = "router artifact" },
	{ .l = "embedder", .type = OPT_STRING, .arg = "bert:PATH",
	  .help = "where the encoder lies that the artifact names by digest" },
	{ .l = "data", .type = OPT_FILE, .many = true, .arg = "FILE",
	  .help = "routing records to judge on; may be repeated" },
	{ .l = "from", .type = OPT_CHOICE, .arg = "FORMAT",
	  .choices = "records|dcrouter|routerbench|routellm|llmrouter|flat", .dflt = "records",
	  .help = "format of --data" },
	{ .l = "min-full", .type = OPT_INT, .arg = "N", .lo = 1, .hi = 1e9, .dflt = "50",
	  .help = "fewest queries with every model's score for baselines" },
	{ .l = "bootstrap", .type = OPT_INT, .arg = "N", .lo = 100, .hi = 1e6, .dflt = "2000",
	  .help = "bootstrap draws for the intervals" },
	{ .l = "seed", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 9e15, .dflt = "42",
	  .help = "seed of the bootstrap and of draws" },
	LIMIT_OPTS,
	MODE_OPTS,
	{ .l = "weak", .type = OPT_STRING, .arg = "MODEL",
	  .help = "weak model of the pair that APGR and CPT judge; of two models the lesser in training" },
	{ .l = "strong", .type = OPT_STRING, .arg = "MODEL", .help = "strong model of that pair" },
	{ .l = "against", .type = OPT_FILE, .arg = "FILE",
	  .help = "another artifact to compare with on the same queries" },
	{ .l = "report", .type = OPT_FILE, .arg = "FILE",
	  .help = "write a self-contained page with figures (.html)" },
	{ .l = "off-policy", .type = OPT_FLAG,
	  .help = "estimate from logged calls of one model a query, by their propensities" },
	{ .l = "min-ess", .type = OPT_NUM, .arg = "N", .lo = 1, .hi = 1e9, .dflt = "30",
	  .help = "fewest effective calls for an estimate of --off-policy" },
	{ .l = "gate", .type = OPT_STRING, .arg = "EXPR",
	  .help = "exit 1 unless this holds: 'gap_closed>=0.15 && delta_best_single.lo>0'" },
	{ .l = "allow-leaks", .type = OPT_FLAG, .help = "keep queries that occur in training" },
	{ .l = "no-runs", .type = OPT_FLAG,
	  .help = "record this run nowhere (see llmr-runs); the same as LLMR_NO_RUNS=1" },
	REQUIRE_OPTS,
	{ .l = NULL }
};

static const struct opt route_opts[] = {
	{ .s = 'm', .l = "model", .type = OPT_FILE, .arg = "FILE", .help = "router artifact" },
	{ .l = "embedder", .type = OPT_STRING, .arg = "bert:PATH",
	  .help = "where the encoder lies that the artifact names by digest" },
	{ .l = "jsonl", .type = OPT_FLAG,
	  .help = "input lines are JSON objects with a query; by default plain text" },
	{ .l = "explain", .type = OPT_FLAG,
	  .help = "show each model's score and the nearest training queries" },
	{ .l = "data", .type = OPT_FILE, .many = true, .arg = "FILE",
	  .help = "training records, to show the text of neighbours with --explain" },
	LIMIT_OPTS,
	MODE_OPTS,
	{ .l = "weak", .type = OPT_STRING, .arg = "MODEL",
	  .help = "choose between this model and --strong alone" },
	{ .l = "strong", .type = OPT_STRING, .arg = "MODEL", .help = "choose between this model and --weak alone" },
	{ .l = "request-id", .type = OPT_STRING, .arg = "ID",
	  .help = "what the draw depends on beside seed and prompt; JSON lines may hold request_id" },
	{ .l = "seed", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 9e15, .dflt = "42",
	  .help = "seed of the draw" },
	REQUIRE_OPTS,
	{ .l = NULL }
};

static const struct opt bench_opts[] = {
	{ .s = 'm', .l = "model", .type = OPT_FILE, .arg = "FILE", .help = "router artifact" },
	{ .l = "embedder", .type = OPT_STRING, .arg = "bert:PATH",
	  .help = "where the encoder lies that the artifact names by digest" },
	{ .l = "queries", .type = OPT_FILE, .arg = "FILE",
	  .help = "prompts: routing records, or plain lines; standard input with -" },
	{ .l = "rate", .type = OPT_NUM, .arg = "R", .lo = 0.001, .hi = 1e8,
	  .help = "requests a second, open loop; by default as fast as answers come" },
	{ .l = "duration", .type = OPT_DURATION, .arg = "TIME", .help = "how long to run" },
	{ .s = 'n', .l = "requests", .type = OPT_INT, .arg = "N", .lo = 1, .hi = 1e12,
	  .help = "how many requests; by default each prompt once, at least 1000" },
	{ .l = "warmup", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 1e9, .dflt = "200",
	  .help = "requests before counting" },
	{ .l = "cold", .type = OPT_FLAG, .help = "clear the CPU caches before each request" },
	LIMIT_OPTS,
	MODE_OPTS,
	{ .l = "weak", .type = OPT_STRING, .arg = "MODEL",
	  .help = "choose between this model and --strong alone" },
	{ .l = "strong", .type = OPT_STRING, .arg = "MODEL", .help = "choose between this model and --weak alone" },
	{ .l = "seed", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 9e15, .dflt = "42",
	  .help = "seed of the draw" },
	{ .l = "budget-p99", .type = OPT_DURATION, .arg = "TIME",
	  .help = "exit 1 when P99 is above this; without it 50ms is shown and nothing enforced" },
	REQUIRE_OPTS,
	{ .l = NULL }
};

static const struct opt drift_opts[] = {
	{ .s = 'm', .l = "model", .type = OPT_FILE, .arg = "FILE", .help = "router artifact" },
	{ .l = "embedder", .type = OPT_STRING, .arg = "bert:PATH",
	  .help = "where the encoder lies that the artifact names by digest" },
	{ .l = "text", .type = OPT_FLAG,
	  .help = "input lines are queries in plain text; by default routing records" },
	{ .l = "data", .type = OPT_FILE, .many = true, .arg = "FILE",
	  .help = "training records, whose texts make the comparison sharp; may be repeated" },
	{ .l = "from", .type = OPT_CHOICE, .arg = "FORMAT",
	  .choices = "records|dcrouter|routerbench|routellm|llmrouter|flat", .dflt = "records",
	  .help = "format of --data" },
	{ .l = "threshold", .type = OPT_NUM, .arg = "PSI", .lo = 0, .hi = 100, .dflt = "0.25",
	  .help = "exit 1 when a population stability index is above this by more than chance" },
	{ .l = "max-ood", .type = OPT_NUM, .arg = "SHARE", .lo = 0, .hi = 1, .dflt = "0.1",
	  .help = "exit 1 when more than this share of queries is out of distribution" },
	REQUIRE_OPTS,
	{ .l = NULL }
};

static const struct opt runs_opts[] = {
	{ .l = "limit", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 1e9,
	  .help = "the newest N runs alone, 0 for all; by default list shows 20 and export all" },
	{ .l = "kind", .type = OPT_STRING, .arg = "KIND", .help = "only runs of this kind of router" },
	{ .l = "command", .type = OPT_CHOICE, .arg = "NAME", .choices = "train|eval",
	  .help = "only runs of this command" },
	{ .l = "format", .type = OPT_CHOICE, .arg = "FORMAT", .choices = "jsonl|csv", .dflt = "jsonl",
	  .help = "what export writes" },
	{ .l = NULL }
};

static const struct opt import_opts[] = {
	{ .l = "models", .type = OPT_STRING, .arg = "A,B,...",
	  .help = "names of the models, in the order of the weights' outputs" },
	{ .l = "embedder", .type = OPT_STRING, .arg = "NAME", .dflt = "hash",
	  .help = "text to vector, where nothing is learned: hash or bert:PATH" },
	{ .l = "dtype", .type = OPT_CHOICE, .arg = "TYPE", .choices = "fp32|bf16|int8", .dflt = "bf16",
	  .help = "weights of a packed encoder" },
	{ .l = "embedder-from", .type = OPT_FILE, .arg = "FILE",
	  .help = "take the embedder of this router artifact" },
	{ .l = "dim", .type = OPT_INT, .arg = "N", .lo = 8, .hi = 4096,
	  .help = "dimensions of --embedder; by default 384" },
	{ .l = "link", .type = OPT_CHOICE, .arg = "NAME", .choices = "identity|logistic|softmax",
	  .dflt = "identity", .help = "outputs to scores" },
	{ .l = "activation", .type = OPT_CHOICE, .arg = "NAME",
	  .choices = "relu|tanh|logistic|identity", .dflt = "relu", .help = "between the layers of an mlp" },
	{ .l = "candidates", .type = OPT_FILE, .arg = "FILE",
	  .help = "candidates file, whose quality_score decides between equal scores" },
	{ .l = "seed", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 9e15, .dflt = "42",
	  .help = "seed of the embedder" },
	{ .s = 'o', .l = "output", .type = OPT_FILE, .arg = "FILE",
	  .help = "artifact to write (.safetensors), NAME.yaml beside it; of bert the packed encoder" },
	{ .l = NULL }
};

static const struct opt inspect_opts[] = {
	{ .l = "embedder", .type = OPT_STRING, .arg = "bert:PATH",
	  .help = "where the encoder lies that the artifact names by digest" },
	{ .l = NULL }
};

static const struct opt keygen_opts[] = {
	{ .s = 'p', .l = "public-key", .type = OPT_FILE, .arg = "FILE", .help = "public key to write" },
	{ .s = 's', .l = "secret-key", .type = OPT_FILE, .arg = "FILE",
	  .help = "secret key to write, readable by its owner alone" },
	{ .s = 'W', .l = "no-password", .type = OPT_FLAG, .help = "do not protect the secret key by a password" },
	{ .l = "type", .type = OPT_CHOICE, .arg = "KIND", .choices = "ed25519|p256", .dflt = "ed25519",
	  .help = "kind of key; p256 is for sign --format oms" },
	{ .l = "kdf-memory", .type = OPT_BYTES, .arg = "SIZE", .dflt = "1GiB",
	  .help = "memory that trying a password shall cost, 16MiB to 1GiB" },
	PASSWORD_OPTS,
	{ .l = NULL }
};

static const struct opt sign_opts[] = {
	{ .s = 's', .l = "secret-key", .type = OPT_FILE, .arg = "FILE", .help = "secret key" },
	{ .s = 'x', .l = "signature", .type = OPT_FILE, .arg = "FILE",
	  .help = "signature file to write; by default FILE.minisig, DIR/manifest.json or DIR/model.sig" },
	{ .l = "format", .type = OPT_CHOICE, .arg = "FORM", .choices = "auto|minisig|manifest|oms",
	  .dflt = "auto", .help = "form of signature; auto: minisig for a file, manifest for a folder" },
	{ .s = 't', .l = "trusted-comment", .type = OPT_STRING, .arg = "TEXT",
	  .help = "comment that is signed too; by default time, name and SHA-256" },
	{ .s = 'c', .l = "comment", .type = OPT_STRING, .arg = "TEXT", .help = "comment that nothing covers" },
	{ .l = "description", .type = OPT_STRING, .arg = "TEXT", .help = "description in the manifest, signed" },
	{ .l = "no-sidecar", .type = OPT_FLAG, .help = "leave out NAME.yaml beside NAME.safetensors" },
	{ .l = "add", .type = OPT_FLAG,
	  .help = "write FILE.KEY.minisig beside the signatures that are there, for verify --require" },
	{ .l = "rotate", .type = OPT_FLAG,
	  .help = "hand trust on: sign a new public key by the old secret key" },
	{ .l = "hmac", .type = OPT_FLAG, .help = "sign the manifest by an HMAC secret, not by a key" },
	{ .l = "hmac-secret-file", .type = OPT_FILE, .arg = "FILE",
	  .help = "secret for --hmac; or LLMROUTER_MODEL_HMAC_SECRET" },
	PASSWORD_OPTS,
	{ .l = NULL }
};

static const struct opt verify_opts[] = {
	TRUST_OPTS,
	{ .l = "format", .type = OPT_CHOICE, .arg = "FORM", .choices = "auto|minisig|manifest|oms",
	  .dflt = "auto", .help = "form of signature to look for" },
	{ .l = "require", .type = OPT_INT, .arg = "N", .lo = 1, .hi = 64, .dflt = "1",
	  .help = "how many of the trusted keys must have signed" },
	{ .s = 'H', .l = "prehashed", .type = OPT_FLAG, .help = "refuse signatures of minisign's legacy form" },
	{ .l = "no-sidecar", .type = OPT_FLAG, .help = "leave out NAME.yaml beside NAME.safetensors" },
	{ .l = "allow-extra", .type = OPT_FLAG, .help = "files in the folder that are not listed are no fault" },
	{ .l = "add-key", .type = OPT_FLAG,
	  .help = "FILE is a public key: put it in the trust folder when a trusted key has signed it by sign --rotate" },
	{ .l = NULL }
};

static const struct opt no_opts[] = { { .l = NULL } };

/* ---- registries: what every one of these commands takes, then what each adds ---- */

#define REGISTRY_OPTS \
	{ .l = "registry", .type = OPT_STRING, .arg = "URL", \
	  .help = "registry: dir:PATH or s3://BUCKET/PREFIX" }, \
	KEY_OPTS, \
	{ .l = "allow-unsigned", .type = OPT_FLAG, .help = "work without keys and signatures" }, \
	{ .l = "require-signature", .type = OPT_FLAG, .env = "LLMROUTER_ENFORCE_SIGNED_MODELS", \
	  .help = "refuse what is unsigned, whatever else is said" }, \
	{ .l = "registry-id", .type = OPT_STRING, .arg = "ID", \
	  .help = "refuse any registry but the one with this id" }, \
	{ .l = "endpoint-url", .type = OPT_STRING, .arg = "URL", \
	  .help = "address of the S3 server; by default AWS_ENDPOINT_URL, or AWS" }, \
	{ .l = "region", .type = OPT_STRING, .arg = "NAME", .help = "region to sign for" }, \
	{ .l = "profile", .type = OPT_STRING, .arg = "NAME", \
	  .help = "profile of the credentials file; by default AWS_PROFILE" }, \
	{ .l = "timeout", .type = OPT_DURATION, .arg = "TIME", .dflt = "60s", \
	  .help = "limit without a byte from the server" }, \
	{ .l = "connect-timeout", .type = OPT_DURATION, .arg = "TIME", .dflt = "10s", \
	  .help = "limit for making a connection" }, \
	{ .l = "retries", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 100, .dflt = "4", \
	  .help = "attempts after the first, with growing pauses" }

#define SIGNING_OPTS \
	{ .s = 's', .l = "secret-key", .type = OPT_FILE, .arg = "FILE", .help = "key to sign with" }, \
	PASSWORD_OPTS

#define WRITING_OPTS \
	SIGNING_OPTS, \
	{ .l = "no-cas", .type = OPT_FLAG, \
	  .help = "write without conditions, to a store that has none and one writer alone" }

#define CHANNEL_OPT \
	{ .s = 'c', .l = "channel", .type = OPT_STRING, .arg = "NAME", .dflt = "latest", \
	  .help = "channel" }

#define MOVING_OPTS \
	CHANNEL_OPT, \
	{ .l = "expires", .type = OPT_DURATION, .arg = "TIME", .dflt = "0", \
	  .help = "how long the pointer holds; 0 for ever" }, \
	{ .l = "plain", .type = OPT_FLAG, \
	  .help = "also copy the files to current/, for gateways that poll one key" }

#define EXPECT_OPT \
	{ .l = "expect-previous", .type = OPT_STRING, .arg = "VERSION", \
	  .help = "exit 1 unless the channel stands at this version; none: not there yet" }

static const struct opt push_opts[] = {
	{ .s = 'n', .l = "name", .type = OPT_STRING, .arg = "NAME", .help = "name of the model" },
	{ .l = "version", .type = OPT_STRING, .arg = "ALIAS",
	  .help = "also call it so, such as v2.0; never moved afterwards" },
	{ .l = "meta", .type = OPT_STRING, .many = true, .arg = "KEY=VALUE",
	  .help = "metadata of --version; may be repeated" },
	MOVING_OPTS, EXPECT_OPT,
	{ .l = "lease", .type = OPT_FLAG, .help = "hold the lease train meanwhile; exit 75 when another has it" },
	{ .l = "mlflow", .type = OPT_STRING, .arg = "URL",
	  .help = "register it with an MLflow server, under the channel's name as alias" },
	WRITING_OPTS, REGISTRY_OPTS,
	{ .l = NULL }
};

static const struct opt pull_opts[] = {
	{ .s = 'n', .l = "name", .type = OPT_STRING, .arg = "NAME", .help = "name of the model" },
	CHANNEL_OPT,
	{ .l = "version", .type = OPT_STRING, .arg = "VERSION",
	  .help = "this version or alias, whatever the channel says" },
	{ .s = 'o', .l = "output", .type = OPT_FILE, .arg = "PATH",
	  .help = "folder for the model, by default its name; file for a plain object" },
	{ .l = "watch", .type = OPT_FLAG, .help = "go on, and run COMMAND after each change" },
	{ .l = "interval", .type = OPT_DURATION, .arg = "TIME", .dflt = "60s",
	  .help = "time between two looks, give or take a fifth" },
	{ .l = "offline", .type = OPT_FLAG, .help = "use what was pulled before, ask nobody" },
	{ .l = "min-seq", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 9e15, .dflt = "0",
	  .help = "refuse a pointer with a lower seq" },
	{ .l = "max-age", .type = OPT_DURATION, .arg = "TIME", .dflt = "0",
	  .help = "exit 75 when the pointer is older; 0 any age" },
	{ .l = "lease", .type = OPT_FLAG, .help = "fetch one host at a time, by a lease in the store" },
	{ .l = "cache-dir", .type = OPT_DIR, .arg = "DIR",
	  .help = "where contents are cached; by default $XDG_CACHE_HOME/llmr" },
	{ .l = "cache-size", .type = OPT_BYTES, .arg = "SIZE", .dflt = "10GiB",
	  .help = "least recently used contents go above this" },
	{ .l = "mlflow", .type = OPT_STRING, .arg = "URL", .env = "MLFLOW_TRACKING_URI",
	  .help = "server of mlflow:NAME@ALIAS" },
	REGISTRY_OPTS,
	{ .l = NULL }
};

static const struct opt list_opts[] = { REGISTRY_OPTS, { .l = NULL } };
static const struct opt show_opts[] = { CHANNEL_OPT, REGISTRY_OPTS, { .l = NULL } };
static const struct opt promote_opts[] = { MOVING_OPTS, EXPECT_OPT, WRITING_OPTS, REGISTRY_OPTS,
	{ .l = NULL } };
static const struct opt rollback_opts[] = {
	{ .l = "to", .type = OPT_STRING, .arg = "VERSION", .help = "to this version instead of the one before" },
	MOVING_OPTS, EXPECT_OPT, WRITING_OPTS, REGISTRY_OPTS,
	{ .l = NULL }
};

static const struct opt gc_opts[] = {
	{ .l = "grace", .type = OPT_DURATION, .arg = "TIME", .dflt = "7d",
	  .help = "nothing younger goes" },
	{ .l = "keep", .type = OPT_INT, .arg = "N", .lo = 0, .hi = 1e6, .dflt = "5",
	  .help = "newest versions of each model that stay" },
	{ .l = "dry-run", .type = OPT_FLAG, .help = "say what would go" },
	{ .l = "force", .type = OPT_FLAG, .help = "allow a --grace below 24h: no push may be running" },
	WRITING_OPTS, REGISTRY_OPTS,
	{ .l = NULL }
};

static const struct opt export_bundle_opts[] = {
	{ .s = 'o', .l = "output", .type = OPT_FILE, .arg = "FILE", .help = "bundle to write (.tar)" },
	CHANNEL_OPT,
	{ .l = "with-binary", .type = OPT_FLAG,
	  .help = "put in this program, its man pages and the public keys" },
	{ .l = "encoder", .type = OPT_DIR, .arg = "DIR", .help = "put in the folder of the router's text encoder" },
	WRITING_OPTS, REGISTRY_OPTS,
	{ .l = NULL }
};

static const struct opt import_bundle_opts[] = {
	MOVING_OPTS,
	{ .l = "unpack", .type = OPT_DIR, .arg = "DIR",
	  .help = "write the program, man pages and keys that it carries there" },
	WRITING_OPTS, REGISTRY_OPTS,
	{ .l = NULL }
};

static const struct opt doctor_opts[] = {
	{ .s = 'c', .l = "config", .type = OPT_FILE, .arg = "FILE", .env = "LITELLM_CONFIG_PATH",
	  .help = "also check a gateway's YAML, and the files, keys and variables that it names" },
	{ .l = "url", .type = OPT_STRING, .many = true, .arg = "URL",
	  .help = "also try to reach this address; may be repeated" },
	{ .l = NULL }
};

static const struct opt serve_opts[] = {
	{ .s = 'c', .l = "config", .type = OPT_FILE, .arg = "FILE", .env = "LITELLM_CONFIG_PATH",
	  .help = "the gateway's YAML, as LiteLLM reads it; /app/config/config.yaml when neither says" },
	{ .s = 'l', .l = "listen", .type = OPT_STRING, .arg = "ADDRESS", .dflt = "127.0.0.1:4000",
	  .help = "HOST:PORT, [V6]:PORT, :PORT for all addresses, or unix:PATH" },
	{ .s = 't', .l = "test", .type = OPT_FLAG, .help = "check config and model, then stop" },
	{ .l = "embedder", .type = OPT_STRING, .arg = "bert:PATH",
	  .help = "where the encoder lies that artifacts name by digest" },
	{ .l = "no-auth", .type = OPT_FLAG, .help = "answer anybody, even beyond this machine, without a master key" },
	{ .l = "tls-cert", .type = OPT_FILE, .arg = "FILE", .help = "certificate chain in PEM; serves HTTPS" },
	{ .l = "tls-key", .type = OPT_FILE, .arg = "FILE", .help = "its private key" },
	{ .l = "max-body", .type = OPT_BYTES, .arg = "BYTES", .dflt = "1MiB", .help = "largest request body" },
	{ .l = "max-connections", .type = OPT_INT, .arg = "N", .dflt = "4096", .lo = 1, .hi = 100000,
	  .help = "open connections; idle ones give way" },
	{ .l = "access-log", .type = OPT_STRING, .arg = "FILE",
	  .help = "a line of JSON for each answer, appended to FILE; - is standard error" },
	{ .l = "decision-log", .type = OPT_STRING, .arg = "FILE", .help = "a line of JSON for each decision, likewise" },
	{ .l = "log-prompts", .type = OPT_FLAG, .help = "write prompts into the decision log" },
	{ .l = "drain-timeout", .type = OPT_DURATION, .arg = "TIME", .dflt = "30s", .env = "ROUTEIQ_DRAIN_TIMEOUT_SECONDS",
	  .help = "on SIGTERM, how long requests in flight may take" },
	{ .l = "header-timeout", .type = OPT_DURATION, .arg = "TIME", .dflt = "5s",
	  .help = "from a connection's begin to the end of a request's header" },
	{ .l = "body-timeout", .type = OPT_DURATION, .arg = "TIME", .dflt = "10s",
	  .help = "from there to the end of its body" },
	{ .l = "idle-timeout", .type = OPT_DURATION, .arg = "TIME", .dflt = "75s",
	  .help = "how long a connection may be without a request" },
	{ .l = "memory-limit", .type = OPT_BYTES, .arg = "BYTES",
	  .help = "memory that may be used; a model that does not fit beside the active one is refused; "
	  "by default the cgroup's" },
	{ .l = "signature-grace", .type = OPT_DURATION, .arg = "TIME", .dflt = "60s",
	  .help = "how long a changed model may wait for the signature that fits" },
	REQUIRE_OPT,
	KEY_OPTS,
	{ .l = NULL }
};

static const struct opt config_opts[] = {
	{ .s = 'c', .l = "config", .type = OPT_FILE, .arg = "FILE", .env = "LITELLM_CONFIG_PATH",
	  .help = "the gateway's YAML; /app/config/config.yaml when neither says" },
	{ .l = "strict", .type = OPT_FLAG, .help = "check: keys that are not used are a failure too" },
	{ .l = "show-origin", .type = OPT_FLAG, .help = "show: tell the line, the variable or the default of each value" },
	{ .l = NULL }
};

static const struct opt switch_opts[] = {
	{ .l = "url", .type = OPT_STRING, .arg = "URL", .dflt = "http://127.0.0.1:4000",
	  .help = "address of the gateway, or unix:PATH; its key is taken from LITELLM_MASTER_KEY" },
	{ .l = "name", .type = OPT_STRING, .arg = "ROUTER", .help = "router; by default the one that the config names" },
	{ .l = "strategy", .type = OPT_CHOICE, .arg = "NAME", .choices = "immediate|gradual|canary|ab_test|shadow",
	  .help = "how traffic goes over; by default model_switching.default_switch_strategy" },
	{ .l = "set", .type = OPT_STRING, .many = true, .arg = "NAME=VALUE",
	  .help = "a parameter of the strategy; may be repeated" },
	{ .l = "wait", .type = OPT_FLAG, .help = "with start: wait until it has ended" },
	{ .l = "timeout", .type = OPT_DURATION, .arg = "TIME", .dflt = "0",
	  .help = "how long to wait; 0 for ever" },
	{ .l = "reason", .type = OPT_STRING, .arg = "TEXT", .help = "why, for the history" },
	{ .l = "metadata", .type = OPT_STRING, .arg = "JSON", .help = "an object kept with a version" },
	{ .l = NULL }
};

const struct command commands[] = {
	{ .name = "extract", .group = "data", .summary = "pull traces from Jaeger, Tempo, gateway logs or files",
	  .operands = "[FILE ...]", .operand_choices = "@file", .max_args = ANY,
	  .opts = extract_opts, .run = cmd_extract, .exits = "1 65 66 69 73 74 75 77 78 130",
	  .see_also = "llmr-convert(1)" },
	{ .name = "convert", .group = "data", .summary = "turn traces or known data sets into routing records",
	  .operands = "[FILE ...]", .operand_choices = "@file", .max_args = ANY,
	  .opts = convert_opts, .run = cmd_convert, .exits = "65 66 73 74 75 78 130",
	  .see_also = "llmr-extract(1) llmr-train(1) llmr-records(5)" },
	{ .name = "embed", .group = "data", .summary = "turn texts into vectors",
	  .operands = "[FILE]", .operand_choices = "@file", .max_args = 1, .opts = embed_opts,
	  .run = cmd_embed, .exits = "65 66 73 74 75 130", .see_also = "llmr-import(1) llmr-train(1)" },
	{ .name = "train", .group = "routers", .summary = "learn a router from routing records",
	  .operands = "[KIND]",
	  .operand_choices = "hybrid|knn|svm|mlp|mf|ridge|kridge|trees", .max_args = 1,
	  .opts = train_opts, .run = cmd_train, .exits = "65 66 69 73 74 75 78 130",
	  .see_also = "llmr-convert(1) llmr-eval(1) llmr-artifact(5)" },
	{ .name = "eval", .group = "routers", .summary = "measure a router against baselines",
	  .operands = "", .operand_choices = "", .opts = eval_opts, .run = cmd_eval,
	  .exits = "1 65 66 74 75 77 130", .see_also = "llmr-bench(1) llmr-train(1)" },
	{ .name = "route", .group = "routers", .summary = "choose a model for a prompt",
	  .operands = "[PROMPT | -]", .operand_choices = "", .max_args = 1, .opts = route_opts,
	  .run = cmd_route, .exits = "1 65 66 74 75 77 130", .see_also = "llmr-bench(1) llmr-train(1)" },
	{ .name = "bench", .group = "routers", .summary = "measure the latency of a router's decisions",
	  .operands = "", .operand_choices = "", .opts = bench_opts, .run = cmd_bench,
	  .exits = "1 65 66 74 75 77 130", .see_also = "llmr-eval(1) llmr-route(1)" },
	{ .name = "import", .group = "routers", .summary = "make a router of your own weights, or pack an encoder",
	  .operands = "linear FILE | mlp FILE | bert DIR", .operand_choices = "linear|mlp|bert", .min_args = 2,
	  .max_args = 2, .opts = import_opts, .run = cmd_import, .exits = "65 66 73 74 75",
	  .see_also = "llmr-inspect(1) llmr-train(1) llmr-artifact(5)" },
	{ .name = "inspect", .group = "routers", .summary = "show what a router artifact holds",
	  .operands = "FILE", .operand_choices = "@file", .min_args = 1, .max_args = 1,
	  .opts = inspect_opts, .run = cmd_inspect, .exits = "65 66 74",
	  .see_also = "llmr-train(1) llmr-artifact(5)" },
	{ .name = "drift", .group = "routers",
	  .summary = "tell how far new queries lie from the training data", .operands = "[FILE ...]",
	  .operand_choices = "@file", .max_args = ANY, .opts = drift_opts, .run = cmd_drift,
	  .exits = "1 65 66 74 75 77 130", .see_also = "llmr-eval(1) llmr-train(1)" },
	{ .name = "keygen", .group = "trust", .summary = "make a key pair for signing",
	  .operands = "", .operand_choices = "", .opts = keygen_opts, .run = cmd_keygen,
	  .exits = "73 74 75 77 78", .see_also = "llmr-sign(1) llmr-verify(1) llmr-trust(7)" },
	{ .name = "sign", .group = "trust", .summary = "sign a file, an artifact or a folder",
	  .operands = "FILE | DIR", .operand_choices = "@file", .min_args = 1, .max_args = 1,
	  .opts = sign_opts, .run = cmd_sign, .exits = "65 66 73 74 75 77 78",
	  .see_also = "llmr-keygen(1) llmr-verify(1) llmr-trust(7)" },
	{ .name = "verify", .group = "trust", .summary = "check the signature of a file, an artifact or a folder",
	  .operands = "FILE | DIR", .operand_choices = "@file", .min_args = 1, .max_args = 1,
	  .opts = verify_opts, .run = cmd_verify, .exits = "1 65 66 73 74 75 78",
	  .see_also = "llmr-keygen(1) llmr-sign(1) llmr-trust(7)" },
	{ .name = "runs", .group = "routers", .summary = "list, show, compare and export recorded runs",
	  .operands = "list | show ID | compare ID ID ... | export",
	  .operand_choices = "list|show|compare|export", .min_args = 1, .max_args = ANY,
	  .opts = runs_opts, .run = cmd_runs, .exits = "65 66 73 74 75 78",
	  .see_also = "llmr-eval(1) llmr-train(1)" },
	{ .name = "push", .group = "registry", .summary = "publish a router in a registry",
	  .operands = "PATH [REGISTRY]", .operand_choices = "@file", .min_args = 1, .max_args = 2,
	  .opts = push_opts, .run = cmd_push, .exits = "1 65 66 69 73 74 75 77 78 130",
	  .see_also = "llmr-promote(1) llmr-pull(1) llmr-registry(5)" },
	{ .name = "pull", .group = "registry",
	  .summary = "bring a router here from a registry, verified, and keep it up to date",
	  .operands = "[REGISTRY [COMMAND ARG ...]]", .operand_choices = "", .max_args = ANY,
	  .opts = pull_opts, .run = cmd_pull, .exits = "1 65 66 69 73 74 75 77 78 130",
	  .see_also = "llmr-push(1) llmr-rollback(1) llmr-registry(5)" },
	{ .name = "list", .group = "registry", .summary = "list channels, aliases and versions of a registry",
	  .operands = "[REGISTRY] [NAME]", .operand_choices = "", .max_args = 2, .opts = list_opts, .run = cmd_list,
	  .exits = "65 66 69 74 77 78 130", .see_also = "llmr-show(1) llmr-registry(5)" },
	{ .name = "show", .group = "registry", .summary = "show one version of a model in a registry",
	  .operands = "NAME [VERSION]", .operand_choices = "", .min_args = 1, .max_args = 2,
	  .opts = show_opts, .run = cmd_show, .exits = "65 66 69 74 77 78 130",
	  .see_also = "llmr-list(1) llmr-registry(5)" },
	{ .name = "promote", .group = "registry", .summary = "point a channel at a version",
	  .operands = "NAME VERSION", .operand_choices = "", .min_args = 2, .max_args = 2,
	  .opts = promote_opts, .run = cmd_promote, .exits = "1 65 66 69 74 75 77 78 130",
	  .see_also = "llmr-push(1) llmr-rollback(1) llmr-registry(5)" },
	{ .name = "rollback", .group = "registry", .summary = "point a channel back at the version before",
	  .operands = "NAME", .operand_choices = "", .min_args = 1, .max_args = 1,
	  .opts = rollback_opts, .run = cmd_rollback, .exits = "1 65 66 69 74 75 77 78 130",
	  .see_also = "llmr-promote(1) llmr-registry(5)" },
	{ .name = "gc", .group = "registry", .summary = "remove versions and contents that nothing needs",
	  .operands = "[REGISTRY]", .operand_choices = "", .max_args = 1, .opts = gc_opts, .run = cmd_gc,
	  .exits = "65 66 69 74 75 77 78 130", .see_also = "llmr-push(1) llmr-registry(5)" },
	{ .name = "export-bundle", .group = "registry",
	  .summary = "write one version into one signed file, to carry across an air gap",
	  .operands = "NAME [VERSION]", .operand_choices = "", .min_args = 1, .max_args = 2,
	  .opts = export_bundle_opts, .run = cmd_export_bundle, .exits = "65 66 69 73 74 77 78 130",
	  .see_also = "llmr-import-bundle(1) llmr-registry(5)" },
	{ .name = "import-bundle", .group = "registry",
	  .summary = "verify a bundle, and put its version into a registry", .operands = "FILE",
	  .operand_choices = "@file", .min_args = 1, .max_args = 1, .opts = import_bundle_opts,
	  .run = cmd_import_bundle, .exits = "1 65 66 69 73 74 75 77 78 130",
	  .see_also = "llmr-export-bundle(1) llmr-registry(5)" },
	{ .name = "serve", .group = "serving", .summary = "a validating gateway: decide, and forward there",
	  .operands = "", .operand_choices = "", .opts = serve_opts, .run = cmd_serve,
	  .exits = "65 66 69 73 75 78", .see_also = "llmr-bench(1) llmr-route(1)" },
	{ .name = "config", .group = "serving", .summary = "check the gateway's YAML, or show what comes of it",
	  .operands = "check | show [FILE]", .operand_choices = "check|show", .min_args = 1, .max_args = 2,
	  .opts = config_opts, .run = cmd_config, .exits = "65 66 78", .see_also = "llmr-serve(1)" },
	{ .name = "switch", .group = "serving", .summary = "switch a running gateway between versions of a router",
	  .operands = "start|status|list|wait|abort|rollback|register|versions|stats [ARG...]",
	  .operand_choices = "start|status|list|wait|abort|rollback|register|versions|stats", .min_args = 1, .max_args = 3,
	  .opts = switch_opts, .run = cmd_switch, .exits = "1 65 66 69 75 77 78 130", .see_also = "llmr-serve(1)" },
	{ .name = "doctor", .group = "help", .summary = "check libraries, CPU features, settings and reachability",
	  .operands = "", .operand_choices = "", .opts = doctor_opts, .run = cmd_doctor,
	  .exits = "65 66 69 75 77 78", .see_also = "llmr(1)" },
	{ .name = "help", .group = "help", .summary = "show help about a command",
	  .operands = "[COMMAND]", .operand_choices = "@command", .max_args = 1, .opts = no_opts,
	  .run = cmd_help, .exits = "", .see_also = "llmr(1)" },
	{ .name = "version", .group = "help", .summary = "show version, libraries and CPU features",
	  .operands = "", .operand_choices = "", .opts = no_opts, .run = cmd_version, .exits = "",
	  .see_also = "llmr(1)" },
	{ .name = NULL }
};

const struct command *
command_find(const char *name)
{
	for (const struct command *c = commands; c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

const char *
command_near(const char *name)
{
	const char *best = NULL;
	size_t least = 3;

	for (const struct command *c = commands; c->name != NULL; c++) {
		size_t d = str_distance(name, c->name);

		if (d < least) {
			least = d;
			best = c->name;
		}
	}
	return best;
}

void
opt_env_name(const struct opt *o, char out[64])
{
	size_t n;

	(void)snprintf(out, 64, "LLMR_%s", o->l);
	n = strlen(out);
	for (size_t i = 0; i < n; i++)
		out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}
