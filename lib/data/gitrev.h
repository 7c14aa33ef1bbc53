/*
 * gitrev - the commit that a folder stands at, without running git.
 *
 * Finds .git in the folder or above it (a folder, or a file that names one, as
 * linked work trees and submodules have), follows HEAD to a loose or packed
 * reference. Source: gitrepository-layout(5). References kept as reftable are
 * not read.
 * Depends on: base/io.  Threads: safe.
 */
#ifndef LLMR_DATA_GITREV_H
#define LLMR_DATA_GITREV_H

#include <stdbool.h>

/* 40 or 64 hex digits into out; false (out "") when there is no repository, no commit, or it cannot be read. */
bool gitrev_read(const char *folder, char out[65]);

#endif
