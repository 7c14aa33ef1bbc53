#include "model/hybridparams.h"

#include <string.h>

#include "base/str.h"
#include "fmt/jread.h"
#include "model/target.h"

static const char *const names[HYBRID_MEMBERS] = { "knn", "ridge", "kridge", "trees", "svm", "mlp",
	"mf" };
static const bool by_default[HYBRID_MEMBERS] = { true, true, false, true };

const char *
hybridparams_name(size_t i)
{
	return i < HYBRID_MEMBERS ? names[i] : NULL;
}

const struct scorer_kind *
hybridparams_kind(size_t i)
{
	const struct scorer_kind *kind = scorer_find(names[i], strlen(names[i]));

	if (kind != NULL && kind->params_bytes > HYBRID_SLOT)
		BUG("%s: hyperparameters of %zu bytes", names[i], kind->params_bytes);
	return kind;
}

const char *
hybridparams_idle(const void *params)
{
	const struct hybrid_params *p = params;

	for (size_t i = 0; i < HYBRID_MEMBERS; i++)
		if (p->given[i] && !p->member[i])
			return names[i];
	return NULL;
}

const void *
hybridparams_member(const void *params, const struct scorer_kind *kind)
{
	const struct hybrid_params *p = params;

	for (size_t i = 0; i < HYBRID_MEMBERS; i++)
		if (p->member[i] && hybridparams_kind(i) == kind)
			return p->of[i].bytes;
	return NULL;
}

void
hybridparams_init(void *params)
{
	struct hybrid_params *p = params;

	*p = (struct hybrid_params){ .guard = true, .folds = 3, .regions = 8 };
	for (size_t i = 0; i < HYBRID_MEMBERS; i++) {
		const struct scorer_kind *kind = hybridparams_kind(i);

		p->member[i] = kind != NULL && by_default[i];
		if (kind != NULL)
			kind->params_init(p->of[i].bytes);
	}
}

/* A list of names: "knn,ridge", with or without brackets and quotes. */
static int
set_members(struct hybrid_params *p, const char *value, struct err *e)
{
	bool member[HYBRID_MEMBERS] = { false };
	size_t n = 0;

	while (*value != '\0') {
		size_t skip = strspn(value, " ,[]\""), len = strcspn(value + skip, " ,[]\""), i;

		value += skip;
		if (len == 0)
			break;
		for (i = 0; i < HYBRID_MEMBERS; i++)
			if (strlen(names[i]) == len && memcmp(names[i], value, len) == 0)
				break;
		if (i == HYBRID_MEMBERS || hybridparams_kind(i) == NULL)
			return err_set(e, ERR_USAGE, "members: '%.*s' is not a kind that can be blended",
			    (int)(len < 40 ? len : 40), value);
		n += !member[i];
		member[i] = true;
		value += len;
	}
	if (n == 0)
		return err_set(e, ERR_USAGE, "members: none is named, as in knn,ridge");
	memcpy(p->member, member, sizeof member);
	return 0;
}

static int
set_member_param(struct hybrid_params *p, const char *name, const char *dot, const char *value,
	struct err *e)
{
	for (size_t i = 0; i < HYBRID_MEMBERS; i++) {
		const struct scorer_kind *kind = hybridparams_kind(i);

		if (kind != NULL && strlen(names[i]) == (size_t)(dot - name) &&
		    memcmp(name, names[i], (size_t)(dot - name)) == 0) {
			p->given[i] = true;
			return kind->params_set(p->of[i].bytes, dot + 1, value, e);
		}
	}
	return 1;
}

int
hybridparams_set(void *params, const char *name, const char *value, struct err *e)
{
	struct hybrid_params *p = params;
	const char *dot = strchr(name, '.');
	long long v;

	if (dot != NULL)
		return set_member_param(p, name, dot, value, e);
	if (strcmp(name, "members") == 0)
		return set_members(p, value, e);
	if (strcmp(name, "folds") == 0 || strcmp(name, "regions") == 0) {
		if (str_int(name, value, 2, 100, &v, e) < 0)
			return -1;
		*(name[0] == 'f' ? &p->folds : &p->regions) = (size_t)v;
		return 0;
	}
	if (strcmp(name, "guard") == 0) {
		p->guard = strcmp(value, "true") == 0;
		return p->guard || strcmp(value, "false") == 0 ? 0 :
		    err_set(e, ERR_USAGE, "guard: '%s' is not true or false", value);
	}
	return 1;
}

void
hybridparams_write(const void *params, struct jsonw *w)
{
	const struct hybrid_params *p = params;

	jsonw_key(w, "members");
	jsonw_array(w);
	for (size_t i = 0; i < HYBRID_MEMBERS; i++)
		if (p->member[i])
			jsonw_string(w, names[i]);
	jsonw_end_array(w);
	jsonw_kint(w, "folds", (int64_t)p->folds);
	jsonw_kint(w, "regions", (int64_t)p->regions);
	jsonw_kbool(w, "guard", p->guard);
	for (size_t i = 0; i < HYBRID_MEMBERS; i++)
		if (p->member[i]) {
			jsonw_key(w, names[i]);
			jsonw_object(w);
			hybridparams_kind(i)->params_write(p->of[i].bytes, w);
			jsonw_end_object(w);
		}
}

/* The members' own objects; what lies beside them has been read. */
static int
read_member_params(struct hybrid_params *p, struct slice json, struct err *e)
{
	struct jread r;
	struct slice key, raw;

	jread_init(&r, json.p, json.n);
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			if (!jread_skip_raw(&r, &raw))
				break;
			for (size_t i = 0; i < HYBRID_MEMBERS; i++)
				if (slice_is(key, names[i]) && p->member[i] &&
				    hybridparams_kind(i)->params_read(p->of[i].bytes, raw, e) < 0)
					return -1;
		}
	if (jread_done(&r, e) < 0)
		return err_wrap(e, "llmr.hparams");
	return 0;
}

int
hybridparams_read(void *params, struct slice json, struct err *e)
{
	if (target_params_read(params, json, hybridparams_set, e) < 0)
		return -1;
	return read_member_params(params, json, e);
}
