/*
 * awscred - credentials that somebody else hands out: a program, a container, an instance. Internal to awsconf.
 *
 * Sources: "Sourcing credentials with an external process" and "Container
 * credential provider" (AWS SDKs and tools reference guide), "Instance metadata
 * service" (IMDSv2; Amazon EC2 user guide).
 * Depends on: net/http, fmt/jread.  Threads: separate values are independent.
 */
#ifndef LLMR_NET_AWSCRED_H
#define LLMR_NET_AWSCRED_H

#include <stdbool.h>
#include <stddef.h>

#include "net/awsconf.h"
#include "net/http.h"

/*
 * {"AccessKeyId": …, "SecretAccessKey": …, "Token" or "SessionToken": …,
 * "Expiration": RFC 3339}; of a process also "Version": 1. ERR_CONFIG with what
 * is wrong, never with a value.
 */
int awscred_parse(const char *p, size_t n, bool process, struct aws_credentials *out, struct err *e);

/* Run a command line (quotes and backslashes as in a shell, nothing else) without a shell. */
int awscred_process(const char *command, struct cancel *, struct aws_credentials *out, struct err *e);

/* May credentials be fetched from this address? https, or http to a loopback or ECS's and EKS's own. */
bool awscred_url_ok(const char *url);
/* GET url; token (NULL none) goes into Authorization. */
int awscred_container(struct http *, const char *url, const char *token, struct aws_credentials *out,
	struct err *e);
/* IMDSv2 at base, "http://169.254.169.254" by default. ERR_NOINPUT when nobody answers there. */
int awscred_instance(struct http *, const char *base, struct aws_credentials *out, struct err *e);

#endif
