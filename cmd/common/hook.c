#include "common/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

static void
child(char **argv, const struct hook_value *v, size_t n_values)
{
	int fd = open("/dev/null", O_RDONLY);

	if (fd >= 0)
		(void)dup2(fd, STDIN_FILENO);
	for (size_t i = 0; i < n_values; i++)
		if (setenv(v[i].name, v[i].value, 1) != 0)
			_exit(126);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)execvp(argv[0], argv);
	_exit(127);
}

static int
wait_for(struct ctx *c, pid_t pid, const char *name)
{
	int st;

	while (waitpid(pid, &st, 0) < 0) {
		if (errno != EINTR)
			return err_sys(&c->err, ERR_IO, "waiting for %s", name);
		if (cancel_check(c->cancel, &c->err) < 0)
			(void)kill(pid, SIGTERM);
	}
	if (WIFEXITED(st) && WEXITSTATUS(st) == 0)
		return cancel_check(c->cancel, &c->err);
	if (WIFEXITED(st) && WEXITSTATUS(st) == 127)
		return err_set(&c->err, ERR_NOINPUT, "%s cannot be run", name);
	if (WIFSIGNALED(st))
		return err_set(&c->err, ERR_NO, "%s was ended by signal %d", name, WTERMSIG(st));
	return err_set(&c->err, ERR_NO, "%s ended with status %d", name, WEXITSTATUS(st));
}

int
hook_run(struct ctx *c, const char *const *words, size_t n, const struct hook_value *v, size_t n_values)
{
	char **argv = mem_calloc(n + 1, sizeof *argv, &c->err);
	pid_t pid;
	int r = argv == NULL ? -1 : 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if ((argv[i] = mem_strdup(words[i], &c->err)) == NULL)
			r = -1;
	if (r == 0) {
		pid = fork();
		if (pid == 0)
			child(argv, v, n_values);
		r = pid < 0 ? err_sys(&c->err, ERR_TEMPFAIL, "cannot start %s", words[0]) : wait_for(c, pid, words[0]);
	}
	for (size_t i = 0; argv != NULL && i < n; i++)
		free(argv[i]);
	free(argv);
	return r;
}
