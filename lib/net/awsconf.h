/*
 * awsconf - whose credentials, which region, which endpoint: as AWS's tools find them.
 *
 * The environment is the caller's: it hands in a function that looks a variable
 * up. In this order the first that gives credentials wins:
 *   1. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (not when a
 *      profile was named by the caller rather than by AWS_PROFILE)
 *   2. the profile (AWS_PROFILE, AWS_DEFAULT_PROFILE, "default") in
 *      AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) and AWS_CONFIG_FILE
 *      (~/.aws/config): keys, or credential_process, which is run without a shell
 *   3. the container's: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI (with
 *      AWS_CONTAINER_AUTHORIZATION_TOKEN or _TOKEN_FILE); a full URI is https,
 *      or http to a loopback or one of the two link-local addresses only
 *   4. the instance's metadata (IMDSv2), unless AWS_EC2_METADATA_DISABLED=true;
 *      asked only when nothing else is set, with a time-out of one second
 * Region: the caller's, AWS_REGION, AWS_DEFAULT_REGION, the profile's. Endpoint:
 * the caller's, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's
 * endpoint_url (AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true drops all but the
 * caller's).
 * Credentials that expire are fetched anew five minutes before they do.
 * Not taken: SSO, assumed roles, web identity (run `aws configure
 * export-credentials` as credential_process); a profile that asks for them is
 * an error that says so.
 * Depends on: net/http, fmt/jread.  Threads: one struct awsconf serves many threads.
 */
#ifndef LLMR_NET_AWSCONF_H
#define LLMR_NET_AWSCONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

struct awsconf;

struct awsconf_opts {
	/* Value of an environment variable or NULL; called by awsconf_open alone. NULL: no variables. */
	const char *(*lookup)(void *ctx, const char *name);
	void *ctx;
	const char *profile, *region, *endpoint;	/* from options; NULL: found as above */
	const char *const *allowed_hosts;		/* as http_opts; for the metadata addresses too */
	size_t n_allowed_hosts;
	const char *ca_file;		/* for a container's https address, as http_opts; NULL the system's */
	bool ca_only;
	bool anonymous;			/* no credentials: requests go unsigned */
	struct cancel *cancel;		/* borrowed for its life */
};

/* Find out; credentials themselves are fetched at the first awsconf_get. NULL and ERR_CONFIG. */
struct awsconf *awsconf_open(const struct awsconf_opts *, struct err *e);
void awsconf_free(struct awsconf *);			/* wipes; NULL is fine */
/* Borrowed; region "us-east-1" when nothing names one. endpoint NULL: AWS's own for the region. */
const char *awsconf_region(const struct awsconf *);
const char *awsconf_endpoint(const struct awsconf *);
bool awsconf_anonymous(const struct awsconf *);
/* Whether the region was named by somebody rather than assumed. */
bool awsconf_region_known(const struct awsconf *);

/* A copy to sign one request with. */
struct aws_credentials {
	char key_id[192], secret[192];
	char token[4096];		/* "" without */
	int64_t expires_us;		/* since 1970; 0 never */
};

/*
 * Valid credentials. fresh: those of before were refused as expired, fetch
 * anew. ERR_NOPERM when there are none anywhere (the message lists the places
 * looked at), ERR_UNAVAILABLE when their source is away, ERR_CONFIG when it
 * makes no sense. Wipe the copy with explicit_bzero when done.
 */
int awsconf_get(struct awsconf *, bool fresh, struct aws_credentials *out, struct err *e);

/*
 * Value of key in section of an AWS credentials or config file held in memory:
 * the last one counts, as in AWS's tools; blanks around are cut, comments (# ;
 * at the start of a line or after a blank) too. False when absent; the slice is
 * borrowed from the text. config files name sections "profile NAME".
 */
struct slice;
bool awsconf_lookup(const char *text, size_t n, const char *section, const char *key, struct slice *out);

#endif
