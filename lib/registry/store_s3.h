/*
 * store_s3 - a bucket, or a prefix in one, as a store.
 *
 * Conditions are If-Match and If-None-Match, which the store must keep
 * (store_probe); objects are sent and checked with their SHA-256. The store's
 * clock is the Date of its answers, in whole seconds.
 * Depends on: net/s3.  Threads: as store.h.
 */
#ifndef LLMR_REGISTRY_STORE_S3_H
#define LLMR_REGISTRY_STORE_S3_H

#include "net/awsconf.h"
#include "net/s3.h"
#include "registry/store.h"

/* url "s3://bucket/prefix". conf now belongs to the store, also on failure. NULL and err. */
struct store *store_s3_open(const char *url, const struct s3_opts *, struct awsconf *conf, struct err *e);

#endif
