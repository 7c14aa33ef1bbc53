#include "serve/prepare.h"

#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "serve/lastgood.h"

/* Where a new generation is put together. */
struct making {
	struct gateway *g;
	struct config *config;
	struct candidates *candidates;
	struct keyring keys;
	struct proof_trust trust;
	bool starting;
	struct err lacks;		/* why there are no candidates, where that is borne */
};

static void
tell_notes(const struct gateway *g, const struct config *c)
{
	for (size_t i = 0; i < c->n_notes; i++) {
		const struct note *n = &c->note[i];
		enum log_level level = n->level == NOTE_ERROR ? LOG_ERROR : LOG_WARN;

		if (n->times > 1)
			log_at(&g->o.log, level, "%s:%zu: %s: %s (and in %zu more places)", c->name, n->line, n->key, n->text,
				n->times - 1);
		else
			log_at(&g->o.log, level, "%s:%zu: %s: %s", c->name, n->line, n->key, n->text);
	}
}

/* A file when there is one of that name, else the key itself. */
static int
read_key(const char *text, struct public_key *k, struct err *e)
{
	return io_exists(text) || text[0] == '/' || text[0] == '.' ? public_key_read(text, k, e)
		: public_key_parse(slice_str(text), k, e);
}

/* The keys of the command line and of the config. */
static int
read_trust(struct making *m, struct err *e)
{
	const struct gateway_opts *o = &m->g->o;
	const char *text = m->config->general.public_key;
	struct public_key k;

	for (size_t i = 0; o->keys != NULL && i < o->keys->n_revoked; i++) {
		char id[KEY_ID_TEXT];

		key_id_format(o->keys->revoked[i], id);
		if (keyring_revoke(&m->keys, id, e) < 0)
			return -1;
	}
	for (size_t i = 0; o->keys != NULL && i < o->keys->n; i++) {
		if (keyring_add(&m->keys, &o->keys->keys[i], o->keys->names[i], e) < 0)
			return -1;
	}
	if (text != NULL && read_key(text, &k, e) < 0)
		return err_wrap(e, "general_settings.public_key");
	if (text != NULL && keyring_add(&m->keys, &k, "general_settings.public_key", e) < 0)
		return -1;
	m->trust = (struct proof_trust){ &m->keys, o->hmac, o->require_signature || m->config->general.require_signature };
	return 0;
}

static int
read_config(struct making *m, bool anew, struct err *e)
{
	struct gateway *g = m->g;
	const struct generation *now = atomic_load(&g->live.value);

	m->starting = now == NULL;
	m->config = anew || now == NULL ? config_load(g->o.config_path, &g->o.source, e)
		: config_read(now->config->text.p, now->config->text.n, &g->o.source, e);
	if (m->config == NULL)
		return -1;
	if (now == NULL || memcmp(now->config->sha256, m->config->sha256, sizeof now->config->sha256) != 0)
		tell_notes(g, m->config);
	if (m->config->n_errors > 0) {
		const struct note *n = m->config->note;

		while (n->level != NOTE_ERROR)
			n++;
		return err_set(e, ERR_CONFIG, "%s: %zu problem%s, the first in line %zu: %s: %s", m->config->name,
			m->config->n_errors, m->config->n_errors == 1 ? "" : "s", n->line, n->key, n->text);
	}
	if (m->config->router.llm_data_path != NULL &&
	    (m->candidates = candidates_load(m->config->router.llm_data_path, &m->lacks)) == NULL) {
		if (!m->starting || g->o.test) {
			*e = m->lacks;
			return -1;
		}
		log_at(&g->o.log, LOG_ERROR, "the candidates cannot be used: %s", m->lacks.msg);
	}
	return read_trust(m, e);
}

/* What is watched: from before anything of it is read. */
static void
set_watch(const struct making *m)
{
	const struct router_settings *s = &m->config->router;
	struct buf file = BUF_INIT, sig = BUF_INIT, list = BUF_INIT;
	const char *path[4], *slash;
	size_t n = 0;
	struct err none = ERR_INIT;

	if (m->g->watch == NULL)
		return;
	if (m->g->o.watch_config)
		path[n++] = m->g->o.config_path;
	if (s->strategy == STRATEGY_ML && s->hot_reload && s->model_path != NULL) {
		if (source_file(s->model_path, &file, &none) < 0) {
			buf_reset(&file);
			buf_str(&file, s->model_path);
		}
		slash = strrchr(buf_cstr(&file), '/');
		buf_printf(&sig, "%s.minisig", buf_cstr(&file));
		buf_printf(&list, "%.*smanifest.json", slash == NULL ? 0 : (int)(slash + 1 - buf_cstr(&file)), buf_cstr(&file));
		path[n++] = buf_cstr(&file);
		path[n++] = buf_cstr(&sig);
		path[n++] = buf_cstr(&list);
	}
	watch_set(m->g->watch, path, n, s->reload_interval);
	buf_finish(&file);
	buf_finish(&sig);
	buf_finish(&list);
}

static struct generation *
make(struct making *m, struct loaded *l, struct err *e)
{
	return generation_new(m->config, m->candidates, l, m->g->backends, &m->g->o.log, e);
}

/* At the start, without the model that the config names: the last one that was good, or none. */
static struct generation *
make_degraded(struct making *m, const struct err *why, struct err *e)
{
	struct loaded_opts want = { m->config->router.kind, m->g->o.embedder };
	struct gateway *g = m->g;
	struct err e2 = ERR_INIT;
	struct generation *n = NULL;
	struct loaded *l = NULL;
	bool stands_in = false;
	char text[700];

	log_at(&g->o.log, LOG_ERROR, "the model cannot be used: %s", why->msg);
	refusals_add(&g->refusals, "start", why->msg);
	if (g->o.state_dir != NULL && (l = lastgood_load(g->o.state_dir, &want, &m->trust, &e2)) != NULL) {
		stands_in = (n = make(m, l, &e2)) != NULL;
		loaded_unref(l);
	}
	if (n == NULL) {
		if (e2.code != ERR_NONE && e2.code != ERR_NOINPUT)
			log_warn(&g->o.log, "nor can the last known good one: %s", e2.msg);
		n = make(m, NULL, e);
	}
	if (n == NULL)
		return NULL;
	(void)snprintf(text, sizeof text, "%s: %s", stands_in ? "the last known good model serves" : "no model", why->msg);
	n->degraded = arena_dup(&n->arena, text, strlen(text), NULL);
	if (n->degraded == NULL)
		n->degraded = "no model";
	log_warn(&g->o.log, "degraded: %s", stands_in ? "the last known good model serves"
		: strategy_name(n->config->router.fallback_strategy));
	return n;
}

int
prepare(struct gateway *g, bool config, struct prepared *out, struct err *e)
{
	struct making m = { .g = g };
	const struct generation *now = atomic_load(&g->live.value);
	struct err why = ERR_INIT;

	*out = (struct prepared){ 0 };
	if (read_config(&m, config, e) < 0)
		goto out;
	set_watch(&m);
	if (m.config->router.strategy != STRATEGY_ML)
		out->next = make(&m, NULL, e);
	else if (source_load(&m.config->router, g->o.embedder, &m.trust, g->o.memory_limit,
	    now == NULL || now->active.model == NULL ? 0 : now->active.model->bytes, &out->kept, &why) < 0 ||
	    (out->next = make(&m, out->kept.model, &why)) == NULL) {
		if (m.starting && !g->o.test && why.code != ERR_CONFIG)
			out->next = make_degraded(&m, &why, e);
		else
			*e = why;
		loaded_unref(out->kept.model);
		out->kept.model = NULL;
	}
out:
	keyring_free(&m.keys);
	if (out->next != NULL && out->next->degraded == NULL && m.lacks.code != ERR_NONE &&
	    (out->next->degraded = arena_dup(&out->next->arena, m.lacks.msg, strlen(m.lacks.msg), NULL)) == NULL)
		out->next->degraded = "no candidates";
	if (out->next == NULL) {
		config_free(m.config);
		candidates_free(m.candidates);
	}
	return out->next == NULL ? -1 : 0;
}

void
prepared_finish(struct prepared *p)
{
	generation_unref(p->next);
	loaded_unref(p->kept.model);
	proof_finish(&p->kept.proof);
	*p = (struct prepared){ 0 };
}
