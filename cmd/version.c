#include "base/buf.h"
#include "base/cpu.h"
#include "cmd.h"
#include "common/blas.h"
#include "fmt/jsonw.h"

/* LLMR_LIBS: "name version, name version" as linked at build time, from pkg-config. */
#ifndef LLMR_LIBS
#define LLMR_LIBS ""
#endif

int
cmd_version(struct ctx *c)
{
	char cpu[256], blas[128];
	struct buf b = BUF_INIT;
	struct jsonw w;

	cpu_features(cpu, sizeof cpu);
	blas_choice(blas, sizeof blas);
	if (!c->json) {
		out_printf("llmr %s\nlicence MIT\nlibraries %s\ncpu %s\nblas kernel %s\ncompiler %s\n",
			LLMR_VERSION, LLMR_LIBS, cpu, blas, __VERSION__);
		return 0;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "version", LLMR_VERSION);
	jsonw_kstr(&w, "licence", "MIT");
	jsonw_kstr(&w, "libraries", LLMR_LIBS);
	jsonw_kstr(&w, "cpu", cpu);
	jsonw_kstr(&w, "blas_kernel", blas);
	jsonw_kstr(&w, "compiler", __VERSION__);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	out_write(b.p, b.len);
	buf_finish(&b);
	return 0;
}
