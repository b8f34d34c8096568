/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "utc-mktime.h"
#include "imap-arg.h"
#include "mail-filter.h"

#include <time.h>

struct mail_filter {
	uoff_t max_size;
	/* (time_t)-1 for none */
	time_t since, before;
	/* NULL-terminated */
	const char *const *with_flags, *const *without_flags;
};

/* ---- settings ---- */

/* 30d, 2 weeks, yesterday: what is older than that is another mail each day,
   so the same account would be migrated by another rule in each run. */
static int
parse_date(const char *setting, const char *value, time_t *date_r,
	   const char **error_r)
{
	const char *const *parts;
	unsigned int year, month, day;
	struct tm tm, *back;

	*date_r = (time_t)-1;
	if (value[0] == '\0')
		return 0;
	parts = t_strsplit(value, "-");
	if (str_array_length(parts) == 3 && strlen(parts[0]) == 4 &&
	    strlen(parts[1]) == 2 && strlen(parts[2]) == 2 &&
	    str_to_uint(parts[0], &year) == 0 && year >= 1970 &&
	    str_to_uint(parts[1], &month) == 0 && month >= 1 && month <= 12 &&
	    str_to_uint(parts[2], &day) == 0 && day >= 1 && day <= 31) {
		i_zero(&tm);
		tm.tm_year = year - 1900;
		tm.tm_mon = month - 1;
		tm.tm_mday = day;
		*date_r = utc_mktime(&tm);
		back = *date_r == (time_t)-1 ? NULL : gmtime(date_r);
		if (back != NULL && back->tm_mon == (int)month - 1 &&
		    back->tm_mday == (int)day)
			return 0;
	}
	*error_r = t_strdup_printf("%s must be a date such as 2024-12-31, not "
		"%s: with a date that moves each run would mean other mails",
		setting, value);
	return -1;
}

/* Words of system flags that a mail keeps, RFC 3501 2.3.2 */
static const char *const known_flags[] = {
	"\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen", NULL
};

static int check_flag(const char *flag, const char **error_r)
{
	const char *p;

	if (flag[0] == '\\') {
		if (str_array_icase_find(known_flags, flag))
			return 0;
	} else {
		for (p = flag; *p != '\0' && IS_ATOM_CHAR(*p); p++) ;
		if (p != flag && *p == '\0')
			return 0;
	}
	*error_r = t_strdup_printf("migration_imapc_filter_flags: %s is no flag "
		"or keyword that a mail keeps", flag[0] == '\0' ? "!" : flag);
	return -1;
}

static int
parse_flags(pool_t pool, const char *value, struct mail_filter *filter,
	    const char **error_r)
{
	ARRAY_TYPE(const_string) with, without;
	const char *const *words, *flag;

	p_array_init(&with, pool, 4);
	p_array_init(&without, pool, 4);
	words = t_strsplit_spaces(value, " ,\t");
	for (; *words != NULL; words++) {
		flag = p_strdup(pool, **words == '!' ? *words + 1 : *words);
		if (check_flag(flag, error_r) < 0)
			return -1;
		if (**words == '!')
			array_push_back(&without, &flag);
		else
			array_push_back(&with, &flag);
	}
	array_append_zero(&with);
	array_append_zero(&without);
	filter->with_flags = array_front(&with);
	filter->without_flags = array_front(&without);
	return 0;
}

int mail_filter_parse(pool_t pool, const struct mail_filter_words *words,
		      struct mail_filter **filter_r, const char **error_r)
{
	struct mail_filter *filter = p_new(pool, struct mail_filter, 1);

	filter->max_size = words->max_size;
	if (parse_date("migration_imapc_filter_since", words->since,
		       &filter->since, error_r) < 0 ||
	    parse_date("migration_imapc_filter_before", words->before,
		       &filter->before, error_r) < 0 ||
	    parse_flags(pool, words->flags, filter, error_r) < 0)
		return -1;
	if (filter->since != (time_t)-1 && filter->before != (time_t)-1 &&
	    filter->since >= filter->before) {
		*error_r = t_strdup_printf("migration_imapc_filter_since (%s) is "
			"not before migration_imapc_filter_before (%s): no mail "
			"would be migrated", words->since, words->before);
		return -1;
	}
	*filter_r = filter;
	return 0;
}

bool mail_filter_wants_size(const struct mail_filter *filter)
{
	return filter->max_size > 0;
}

bool mail_filter_wants_date(const struct mail_filter *filter)
{
	return filter->since != (time_t)-1 || filter->before != (time_t)-1;
}

bool mail_filter_is_set(const struct mail_filter *filter)
{
	return mail_filter_wants_size(filter) ||
		mail_filter_wants_date(filter) ||
		filter->with_flags[0] != NULL ||
		filter->without_flags[0] != NULL;
}

const char *mail_filter_cause_text(enum mail_filter_cause cause)
{
	switch (cause) {
	case MAIL_FILTER_CAUSE_SIZE:
		return "larger than migration_imapc_filter_max_size";
	case MAIL_FILTER_CAUSE_DATE:
		return "not between migration_imapc_filter_since and _before";
	case MAIL_FILTER_CAUSE_FLAGS:
		return "not with the flags of migration_imapc_filter_flags";
	case MAIL_FILTER_CAUSE_NONE:
	case MAIL_FILTER_CAUSE_COUNT:
		break;
	}
	i_unreached();
}

/* ---- mails ---- */

static bool
flags_fit(const struct mail_filter *filter, const char *text)
{
	const char *const *flags = t_strsplit_spaces(text, " ");
	const char *const *word;

	for (word = filter->with_flags; *word != NULL; word++) {
		if (!str_array_icase_find(flags, *word))
			return FALSE;
	}
	for (word = filter->without_flags; *word != NULL; word++) {
		if (str_array_icase_find(flags, *word))
			return FALSE;
	}
	return TRUE;
}

static enum mail_filter_cause
filter_cause(const struct mail_filter *filter,
	     const struct mail_filter_mail *mail)
{
	if (filter->max_size > 0 && mail->size != UOFF_T_MAX &&
	    mail->size > filter->max_size)
		return MAIL_FILTER_CAUSE_SIZE;
	if (mail->received_date != (time_t)-1 &&
	    ((filter->since != (time_t)-1 &&
	      mail->received_date < filter->since) ||
	     (filter->before != (time_t)-1 &&
	      mail->received_date >= filter->before)))
		return MAIL_FILTER_CAUSE_DATE;
	return flags_fit(filter, mail->flags) ? MAIL_FILTER_CAUSE_NONE :
		MAIL_FILTER_CAUSE_FLAGS;
}

static bool
lacks_details(const struct mail_filter *filter,
	      const struct mail_filter_mail *mail)
{
	return (mail_filter_wants_size(filter) && mail->size == UOFF_T_MAX) ||
		(mail_filter_wants_date(filter) &&
		 mail->received_date == (time_t)-1);
}

/* By what was left out earlier: sizes and dates do not change, so that they need
   not be asked for again. */
static enum mail_filter_verdict
decide_again(const struct mail_filter *filter,
	     const struct mail_filter_past *past,
	     const struct filter_memory_mail *known,
	     const struct mail_filter_mail *_mail,
	     enum mail_filter_cause *cause_r)
{
	struct mail_filter_mail mail = *_mail;

	if (mail.size == UOFF_T_MAX)
		mail.size = known->size;
	if (mail.received_date == (time_t)-1)
		mail.received_date = known->received_date;
	*cause_r = filter_cause(filter, &mail);
	if (*cause_r != MAIL_FILTER_CAUSE_NONE)
		return MAIL_FILTER_HIDDEN;
	return lacks_details(filter, &mail) && !past->details_final ?
		MAIL_FILTER_NEEDS_DETAILS : MAIL_FILTER_LATE;
}

enum mail_filter_verdict
mail_filter_decide(const struct mail_filter *filter,
		   const struct mail_filter_past *past,
		   const struct mail_filter_mail *mail,
		   enum mail_filter_cause *cause_r)
{
	const struct filter_memory_mail *known;

	*cause_r = MAIL_FILTER_CAUSE_NONE;
	if (past->memory != NULL) {
		known = filter_memory_find_mail(past->memory, mail->uid);
		if (known != NULL)
			return decide_again(filter, past, known, mail, cause_r);
		if (mail->uid < past->memory->decided_uid)
			return MAIL_FILTER_SHOWN;
	}
	*cause_r = filter_cause(filter, mail);
	if (*cause_r == MAIL_FILTER_CAUSE_NONE) {
		return lacks_details(filter, mail) && !past->details_final ?
			MAIL_FILTER_NEEDS_DETAILS : MAIL_FILTER_SHOWN;
	}
	if (past->dest_uidnext > 0 && mail->uid >= past->dest_uidnext)
		return MAIL_FILTER_HIDDEN;
	if (past->dest_uids == NULL)
		return MAIL_FILTER_NEEDS_DEST;
	if (!seq_range_exists(past->dest_uids, mail->uid))
		return MAIL_FILTER_HIDDEN;
	*cause_r = MAIL_FILTER_CAUSE_NONE;
	return MAIL_FILTER_SHOWN;
}
