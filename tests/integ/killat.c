/*
 * killat N COMMAND [ARG ...] - run a command and kill it (SIGKILL) right before its N-th system call.
 *
 * N = 0 only counts. The number of system calls seen goes to the file that
 * KILLAT_COUNT names. Exit status: the command's, or 137 when it was killed.
 * Linux; system calls of the first thread of the first process count, others
 * die with it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static void
write_count(long n)
{
	const char *path = getenv("KILLAT_COUNT");
	FILE *f = path != NULL ? fopen(path, "w") : NULL;

	if (f == NULL)
		return;
	(void)fprintf(f, "%ld\n", n);
	(void)fclose(f);
}

/* The command's status, or -1 when it is still there; st as waitpid gave it. */
static int
ended(int st)
{
	return WIFEXITED(st) ? WEXITSTATUS(st) : WIFSIGNALED(st) ? 128 + WTERMSIG(st) : -1;
}

static int
follow(pid_t pid, long at)
{
	int st, signal_to_pass = 0, code, entering = 0;
	long calls = 0;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signal_to_pass) != 0 && errno != ESRCH)
			return 99;
		signal_to_pass = 0;
		if (waitpid(pid, &st, 0) < 0)
			return 99;
		if ((code = ended(st)) >= 0) {
			write_count(calls);
			return code;
		}
		if (WSTOPSIG(st) != (SIGTRAP | 0x80)) {
			signal_to_pass = WSTOPSIG(st) == SIGTRAP ? 0 : WSTOPSIG(st);
			continue;
		}
		entering = !entering;
		if (entering && ++calls == at) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, &st, 0);
			write_count(calls);
			return 137;
		}
	}
}

int
main(int argc, char **argv)
{
	pid_t pid;
	int st;

	if (argc < 3) {
		(void)fprintf(stderr, "usage: killat N COMMAND [ARG ...]\n");
		return 64;
	}
	pid = fork();
	if (pid < 0)
		return 99;
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(98);
		(void)execvp(argv[2], argv + 2);
		_exit(127);
	}
	/* The stop behind exec. */
	if (waitpid(pid, &st, 0) < 0 || !WIFSTOPPED(st))
		return ended(st) >= 0 ? ended(st) : 99;
	(void)ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	return follow(pid, strtol(argv[1], NULL, 10));
}
