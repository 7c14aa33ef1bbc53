/*
 * Embed each argument and say how alike it is to the first:
 *
 *	cc embed.c $(pkg-config --cflags --libs llmr) -o embed
 *	./embed bert:e.safetensors "a cat sits" "a kitten rests" "tax law"
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llmr.h>

int
main(int argc, char **argv)
{
	struct llmr_error err;
	struct llmr_embedder *m;
	size_t count = argc > 2 ? (size_t)argc - 2 : 0, dim, n[64];
	float *v;
	int status = 1;

	if (count < 2 || count > 64) {
		fprintf(stderr, "usage: embed bert:PATH TEXT TEXT ...\n");
		return 64;
	}
	m = llmr_embedder_open(argv[1], NULL, &err);
	if (m == NULL) {
		fprintf(stderr, "%s\n", err.message);
		return err.code;
	}
	dim = llmr_embedder_dim(m);
	v = malloc(count * dim * sizeof *v);
	for (size_t i = 0; i < count; i++)
		n[i] = strlen(argv[i + 2]);
	if (v != NULL && llmr_embed_batch(m, (const char *const *)argv + 2, n, count, v, 0, &err) == 0) {
		for (size_t i = 0; i < count; i++) {
			double cosine = 0;

			for (size_t j = 0; j < dim; j++)
				cosine += (double)v[j] * (double)v[i * dim + j];
			printf("%.4f  %s\n", cosine, argv[i + 2]);
		}
		status = 0;
	}
	free(v);
	llmr_embedder_free(m);
	return status;
}
