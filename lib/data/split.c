#include "data/split.h"

#include <string.h>

#include "base/map.h"

size_t
split_fold(const char *query_id, uint64_t seed, size_t folds)
{
	return (size_t)(map_hash(query_id, strlen(query_id), seed ^ UINT64_C(0x666f6c64)) % folds);
}
