#include "common/mlserver.h"

#include <stdlib.h>

static const char *
variable(const char *name)
{
	const char *v = getenv(name);

	return v == NULL || v[0] == '\0' ? NULL : v;
}

int
mlserver_open(struct ctx *c, const char *url, struct mlserver *m)
{
	const char *experiment = variable("MLFLOW_EXPERIMENT_NAME");
	struct http_opts o = { .ca_file = opt_str(c, "ca-file"), .ca_only = opt_flag(c, "ca-only"),
		.user = variable("MLFLOW_TRACKING_USERNAME"), .password = variable("MLFLOW_TRACKING_PASSWORD"),
		.bearer = variable("MLFLOW_TRACKING_TOKEN"), .connect_timeout = opt_duration(c, "connect-timeout"),
		.stall_timeout = opt_duration(c, "timeout"), .total_timeout = 3600, .cancel = c->cancel };

	*m = (struct mlserver){ .s = { .url = url, .experiment = experiment != NULL ? experiment : "llmr",
		.experiment_id = experiment != NULL ? NULL : variable("MLFLOW_EXPERIMENT_ID"),
		.retry = retry_default(), .cancel = c->cancel } };
	m->s.retry.tries = (unsigned)opt_int(c, "retries") + 1;
	if (o.ca_file == NULL)
		o.ca_file = variable("MLFLOW_TRACKING_SERVER_CERT_PATH");
	/* As MLflow's own client: user and password before a token. */
	if (o.user != NULL && o.password != NULL)
		o.bearer = NULL;
	else
		o.user = o.password = NULL;
	if (hosts_read(c, &m->hosts) < 0 || http_check_url(url, m->hosts.name, m->hosts.n, &c->err) < 0)
		return -1;
	o.allowed_hosts = m->hosts.name;
	o.n_allowed_hosts = m->hosts.n;
	m->s.http = http_new(&o, &c->err);
	return m->s.http == NULL ? -1 : 0;
}

void
mlserver_close(struct mlserver *m)
{
	http_free(m->s.http);
	m->s.http = NULL;
	hosts_finish(&m->hosts);
}
