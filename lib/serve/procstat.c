#include "serve/procstat.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static double
seconds_of(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void
read_stat(struct procstat *p)
{
	FILE *f = fopen("/proc/self/stat", "re");
	unsigned long long start, size;
	long long pages;
	char line[1024];
	const char *at;

	if (f == NULL)
		return;
	/* The name may hold blanks and brackets: count the fields behind the last bracket. */
	if (fgets(line, sizeof line, f) != NULL && (at = strrchr(line, ')')) != NULL &&
	    sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu %llu %lld",
	    &start, &size, &pages) == 3) {
		p->virtual_bytes = size;
		p->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
		p->start_seconds = (double)start / (double)sysconf(_SC_CLK_TCK);
	}
	(void)fclose(f);
}

/* The field counts from the system's start. */
static void
add_boot_time(struct procstat *p)
{
	struct timespec up;

	if (p->start_seconds > 0 && clock_gettime(CLOCK_BOOTTIME, &up) == 0)
		p->start_seconds += (double)clock_wall_us() / 1e6 - (double)up.tv_sec - (double)up.tv_nsec / 1e9;
}

static uint64_t
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (d == NULL)
		return 0;
	for (const struct dirent *f; (f = readdir(d)) != NULL; )
		n += f->d_name[0] != '.';
	(void)closedir(d);
	return n == 0 ? 0 : n - 1;	/* without the one that looked */
}

void
procstat_read(struct procstat *p)
{
	struct rusage u;
	struct rlimit l;

	memset(p, 0, sizeof *p);
	if (getrusage(RUSAGE_SELF, &u) == 0)
		p->cpu_seconds = seconds_of(u.ru_utime) + seconds_of(u.ru_stime);
	read_stat(p);
	add_boot_time(p);
	p->open_fds = count_fds();
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur != RLIM_INFINITY)
		p->max_fds = l.rlim_cur;
}
