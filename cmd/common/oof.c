#include "common/oof.h"

#include <math.h>

#include "base/io.h"
#include "fmt/jsonw.h"

/* {"model": number} of the cells that are known. */
static void
write_cells(const struct dataset *ds, const char *key, const float *cell, struct jsonw *w)
{
	jsonw_key(w, key);
	jsonw_object(w);
	for (size_t j = 0; j < ds->m; j++)
		if (!isnan(cell[j])) {
			jsonw_key_n(w, ds->models.keys[j], ds->models.key_len[j]);
			jsonw_double(w, (double)cell[j]);
		}
	jsonw_end_object(w);
}

static void
write_line(const struct dataset *ds, const struct crossval *cv, size_t i, struct buf *out)
{
	const char *task = ds->tasks.keys[ds->task[i]];
	const float *truth = ds->score + i * ds->m;
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_kstr(&w, "query_id", ds->query_id[i]);
	jsonw_kint(&w, "fold", (int64_t)cv->fold[i]);
	jsonw_kstr(&w, "task_name", task[0] != '\0' ? task : NULL);
	write_cells(ds, "scores", cv->score + i * ds->m, &w);
	write_cells(ds, "truth", truth, &w);
	jsonw_kstr(&w, "chosen", ds->models.keys[cv->choice[i]]);
	jsonw_kstr(&w, "best_single", ds->models.keys[cv->best[i]]);
	jsonw_kdouble(&w, "performance", (double)truth[cv->choice[i]]);
	jsonw_end_object(&w);
	buf_byte(out, '\n');
}

int
oof_save(struct ctx *c, const struct dataset *ds, const struct crossval *cv, const char *path)
{
	struct io_out out = { .fd = -1 };
	struct buf line = BUF_INIT;
	int r = -1;

	if (io_out_open(&out, path, 0644, &c->err) < 0)
		return -1;
	for (size_t i = 0; i < ds->n; i++) {
		if (cv->choice[i] >= ds->m)	/* its fold had no training side */
			continue;
		buf_reset(&line);
		write_line(ds, cv, i, &line);
		if (buf_ok(&line, &c->err) < 0 || io_out_write(&out, line.p, line.len, &c->err) < 0)
			goto out;
	}
	r = 0;
out:
	buf_finish(&line);
	if (r == 0)
		return io_out_commit(&out, &c->err);
	io_out_abort(&out);
	return -1;
}
