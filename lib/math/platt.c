#include "math/platt.h"

#include <math.h>

#define ROUNDS 100
#define RIDGE 1e-12
#define SMALLEST_STEP 1e-10

struct targets { double high, low; };

/* Cross-entropy, written so that exp never overflows. */
static double
loss(struct platt s, const double *v, const bool *positive, size_t n, struct targets t)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		double x = s.a * v[i] + s.b, want = positive[i] ? t.high : t.low;

		sum += x >= 0 ? want * x + log1p(exp(-x)) : (want - 1) * x + log1p(exp(x));
	}
	return sum;
}

/* Gradient g [2] and Hessian h [aa, bb, ab]. */
static void
derive(struct platt s, const double *v, const bool *positive, size_t n, struct targets t, double *g,
	double *h)
{
	g[0] = g[1] = h[2] = 0;
	h[0] = h[1] = RIDGE;
	for (size_t i = 0; i < n; i++) {
		double p = platt_probability(s, v[i]), d = p * (1 - p);
		double off = (positive[i] ? t.high : t.low) - p;

		h[0] += v[i] * v[i] * d;
		h[1] += d;
		h[2] += v[i] * d;
		g[0] += v[i] * off;
		g[1] += off;
	}
}

struct platt
platt_fit(const double *value, const bool *positive, size_t n)
{
	size_t yes = 0;
	struct targets t;
	struct platt s;
	double now;

	for (size_t i = 0; i < n; i++)
		yes += positive[i];
	if (n == 0)
		return (struct platt){ -1, 0 };
	t.high = ((double)yes + 1) / ((double)yes + 2);
	t.low = 1 / ((double)(n - yes) + 2);
	s = (struct platt){ 0, log(((double)(n - yes) + 1) / ((double)yes + 1)) };
	now = loss(s, value, positive, n, t);
	for (size_t round = 0; round < ROUNDS; round++) {
		double g[2], h[3], det, da, db, slope, step = 1;

		derive(s, value, positive, n, t, g, h);
		if (fabs(g[0]) < 1e-5 && fabs(g[1]) < 1e-5)
			break;
		det = h[0] * h[1] - h[2] * h[2];
		da = -(h[1] * g[0] - h[2] * g[1]) / det;
		db = -(h[0] * g[1] - h[2] * g[0]) / det;
		slope = g[0] * da + g[1] * db;
		for (; step >= SMALLEST_STEP; step /= 2) {
			struct platt next = { s.a + step * da, s.b + step * db };
			double then = loss(next, value, positive, n, t);

			if (then < now + 1e-4 * step * slope) {
				s = next;
				now = then;
				break;
			}
		}
		if (step < SMALLEST_STEP)
			break;
	}
	return s;
}

double
platt_probability(struct platt s, double value)
{
	double x = s.a * value + s.b;

	return x >= 0 ? exp(-x) / (1 + exp(-x)) : 1 / (1 + exp(x));
}

void
platt_couple(const double *r, size_t k, double *work, double *p)
{
	double *q = work, *qp = work + k * k, least = 0.005 / (double)k;

	for (size_t i = 0; i < k; i++) {
		p[i] = 1 / (double)k;
		q[i * k + i] = 0;
		for (size_t j = 0; j < k; j++) {
			if (j == i)
				continue;
			q[i * k + i] += r[j * k + i] * r[j * k + i];
			q[i * k + j] = -r[j * k + i] * r[i * k + j];
		}
	}
	for (size_t round = 0; round < ROUNDS; round++) {
		double pqp = 0, worst = 0;

		for (size_t i = 0; i < k; i++) {
			qp[i] = 0;
			for (size_t j = 0; j < k; j++)
				qp[i] += q[i * k + j] * p[j];
			pqp += p[i] * qp[i];
		}
		for (size_t i = 0; i < k; i++)
			worst = fmax(worst, fabs(qp[i] - pqp));
		if (worst < least)
			break;
		for (size_t i = 0; i < k; i++) {
			double d = (pqp - qp[i]) / q[i * k + i];

			p[i] += d;
			pqp = (pqp + d * (d * q[i * k + i] + 2 * qp[i])) / (1 + d) / (1 + d);
			for (size_t j = 0; j < k; j++) {
				qp[j] = (qp[j] + d * q[i * k + j]) / (1 + d);
				p[j] /= 1 + d;
			}
		}
	}
}
