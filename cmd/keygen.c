/* llmr keygen - make a key pair for signing. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "cmd.h"
#include "common/trust.h"
#include "fmt/jsonw.h"

struct keygen {
	const char *pub, *sec;
	char password[KEY_PASSWORD_MAX];	/* NUL behind it */
	size_t n;
	bool locked;
};

static int
get_password(struct ctx *c, struct keygen *g)
{
	int n;

	if (!g->locked)
		return 0;
	n = trust_password(c, "New password", true, g->password, sizeof g->password - 1, &c->err);
	if (n < 0)
		return -1;
	if (n == 0)
		return err_set(&c->err, ERR_USAGE, "the password is empty: -W makes a key without one");
	if (memchr(g->password, '\0', (size_t)n) != NULL)
		return err_set(&c->err, ERR_USAGE, "the password holds a NUL byte");
	g->n = (size_t)n;
	g->password[n] = '\0';
	return 0;
}

static int
make_ed25519(struct ctx *c, struct keygen *g, char id[KEY_ID_TEXT])
{
	struct secret_key *k = secret_key_new(&c->err);
	struct public_key p;
	int r = k == NULL ? -1 : secret_key_write(k, g->sec, g->locked ? g->password : NULL, g->n,
		opt_bytes(c, "kdf-memory"), &c->err);

	if (r == 0) {
		secret_key_public(k, &p);
		key_id_format(p.id, id);
		if ((r = public_key_write(&p, g->pub, NULL, &c->err)) < 0)
			(void)unlink(g->sec);
	}
	secret_key_free(k);
	return r;
}

static int
make_p256(struct ctx *c, struct keygen *g)
{
	struct ec_key *k = ec_key_new(&c->err);
	struct buf sec = BUF_INIT, pub = BUF_INIT;
	int r = -1;

	if (k != NULL && buf_reserve(&sec, 4096) &&
	    ec_key_secret_pem(k, g->locked ? g->password : NULL, &sec, &c->err) == 0 &&
	    ec_key_public_pem(k, &pub, &c->err) == 0 &&
	    key_file_write(g->sec, sec.p, sec.len, 0600, &c->err) == 0 &&
	    (r = key_file_write(g->pub, pub.p, pub.len, 0644, &c->err)) < 0)
		(void)unlink(g->sec);
	if (sec.p != NULL)
		explicit_bzero(sec.p, sec.cap);
	buf_finish(&sec);
	buf_finish(&pub);
	ec_key_free(k);
	return r;
}

static void
tell(struct ctx *c, const struct keygen *g, const char *type, const char *id)
{
	struct buf b = BUF_INIT;
	struct jsonw w;

	if (!c->json) {
		if (!c->quiet)
			out_printf("%s key%s%s: secret in %s, public in %s\n", type, id[0] == '\0' ? "" : " ", id, g->sec,
				g->pub);
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "type", type);
	if (id[0] != '\0')
		jsonw_kstr(&w, "key", id);
	jsonw_kstr(&w, "secret_key", g->sec);
	jsonw_kstr(&w, "public_key", g->pub);
	jsonw_kbool(&w, "password", g->locked);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	out_write(buf_cstr(&b), b.len);
	buf_finish(&b);
}

int
cmd_keygen(struct ctx *c)
{
	struct keygen g = { .pub = opt_str(c, "public-key"), .sec = opt_str(c, "secret-key"),
		.locked = !opt_flag(c, "no-password") };
	const char *type = opt_str(c, "type");
	char id[KEY_ID_TEXT] = "";
	int r;

	if (g.pub == NULL || g.sec == NULL)
		return err_set(&c->err, ERR_USAGE, "give --public-key FILE and --secret-key FILE: where the keys go");
	if (strcmp(g.pub, g.sec) == 0)
		return err_set(&c->err, ERR_USAGE, "--public-key and --secret-key name the same file");
	/* Before anybody types a password. */
	for (unsigned i = 0; i < 2; i++)
		if (io_exists(i == 0 ? g.sec : g.pub))
			return err_set(&c->err, ERR_CANTCREAT, "%s is there already: keys are never overwritten",
				i == 0 ? g.sec : g.pub);
	r = get_password(c, &g);
	if (r == 0)
		r = strcmp(type, "p256") == 0 ? make_p256(c, &g) : make_ed25519(c, &g, id);
	explicit_bzero(g.password, sizeof g.password);
	if (r == 0)
		tell(c, &g, type, id);
	return r;
}
