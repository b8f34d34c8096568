/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "parity-proof.h"

void parity_sample_sum_init(struct parity_sample_sum *sum)
{
	i_zero(sum);
	sum->lowest_rate = 2;
}

void parity_sample_sum_add(struct parity_sample_sum *sum, unsigned int mails,
			   unsigned int texts, unsigned int different)
{
	if (mails == 0)
		return;
	sum->mails += mails;
	sum->texts += I_MIN(texts, mails);
	sum->different += different;
	sum->lowest_rate = I_MIN(sum->lowest_rate,
				 (double)I_MIN(texts, mails) / mails);
}

uint64_t parity_sample_bound(const struct parity_sample_sum *sum,
			     unsigned int confidence)
{
	double doubt = (100 - (double)confidence) / 100, missed = 1;
	uint64_t differ = 0, unread = sum->mails - sum->texts;

	i_assert(confidence < 100);

	if (sum->mails == 0 || unread == 0)
		return 0;
	if (sum->lowest_rate <= 0)
		return unread;
	/* a mailbox of N mails of which n are read hides d differing ones with
	   a probability of at most (1 - n/N)^d: texts are drawn without being
	   put back */
	while (missed > doubt && differ < unread) {
		missed *= 1 - sum->lowest_rate;
		differ++;
	}
	return missed > doubt ? unread : differ - 1;
}

static void append_number(string_t *dest, uint64_t number)
{
	if (number < 1000)
		str_printfa(dest, "%"PRIu64, number);
	else {
		append_number(dest, number / 1000);
		str_printfa(dest, ",%03u", (unsigned int)(number % 1000));
	}
}

const char *parity_sample_sentence(const struct parity_sample_sum *sum,
				   unsigned int confidence)
{
	string_t *str = t_str_new(128);
	uint64_t bound;

	append_number(str, sum->texts);
	str_append(str, " of ");
	append_number(str, sum->mails);
	str_append(str, " texts compared, ");
	if (sum->different > 0) {
		append_number(str, sum->different);
		str_append(str, " of them differ");
		if (sum->texts < sum->mails) {
			str_append(str, ": compare all of them (--full) to know "
				   "which others do");
		}
		return str_c(str);
	}
	str_append(str, sum->texts == sum->mails ? "none differs" :
		   "none of them differs");
	if (sum->texts == sum->mails)
		return str_c(str);
	bound = parity_sample_bound(sum, confidence) + 1;
	if (bound > sum->mails - sum->texts) {
		str_append(str, ": nothing is known of the others");
		return str_c(str);
	}
	str_printfa(str, ": with %u %% confidence fewer than ", confidence);
	append_number(str, bound);
	str_printfa(str, " mails differ (%.2f %%)",
		    (double)bound * 100 / sum->mails);
	return str_c(str);
}
