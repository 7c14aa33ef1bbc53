/* replay - run a fuzz target once over each file named, and over every prefix of the small ones. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES ((size_t)16 << 20)
#define PREFIX_BYTES ((size_t)512)

/* The input in a block of exactly its size, so that a sanitizer sees one byte too many. */
static void
one(const uint8_t *p, size_t n)
{
	uint8_t *exact = malloc(n == 0 ? 1 : n);

	if (exact == NULL)
		abort();
	for (size_t i = 0; i < n; i++)
		exact[i] = p[i];
	(void)LLVMFuzzerTestOneInput(exact, n);
	free(exact);
}

int
main(int argc, char **argv)
{
	uint8_t *all = malloc(MAX_BYTES);
	int files = 0;

	if (all == NULL)
		return 75;
	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		size_t n;

		if (f == NULL) {
			perror(argv[i]);
			return 66;
		}
		n = fread(all, 1, MAX_BYTES, f);
		(void)fclose(f);
		one(all, n);
		for (size_t k = 0; k < n && n <= PREFIX_BYTES; k++)
			one(all, k);
		files++;
	}
	free(all);
	(void)printf("%d files\n", files);
	return files > 0 ? 0 : 66;
}
