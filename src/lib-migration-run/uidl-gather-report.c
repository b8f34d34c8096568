/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "str-sanitize.h"
#include "mail-storage.h"
#include "mail-storage-private.h"
#include "header-difference.h"
#include "uidl-format.h"
#include "mailbox-evidence.h"
#include "migration-run.h"
#include "uidl-gather-private.h"

/* Leftovers of each side whose header is read to say what they are, and for
   which the nearest mail is looked for, each among all mails. */
#define MAX_EXPLAINED 1000

/* --- explaining --- */

struct explained {
	struct gather_pop3_mail *mail;
	struct gather_mailbox *gbox;
	uint32_t uid;
};

struct explaining {
	pool_t pool;
	ARRAY(struct explained) mails;
	/* whose headers are being read */
	struct gather_mailbox *gbox;
};

static void
explain_evidence(void *context, const struct mailbox_evidence *evidence)
{
	struct explaining *explaining = context;
	const struct explained *explained;

	array_foreach(&explaining->mails, explained) {
		if (explained->gbox == explaining->gbox &&
		    explained->uid == evidence->uid) T_BEGIN {
			explained->mail->difference = p_strdup(
				explaining->pool, header_difference(
				(const unsigned char *)explained->mail->header,
				explained->mail->header_size,
				evidence->header_text,
				evidence->header_text_size));
		} T_END;
	}
}

/* Compare with the headers of the nearest mails. */
static void
explain_nearest(struct uidl_gather *gather, struct explaining *explaining)
{
	struct gather_mailbox *gbox;
	const struct explained *explained;
	ARRAY_TYPE(seq_range) uids;
	const char *error;

	array_foreach_modifiable(&gather->mailboxes, gbox) {
		t_array_init(&uids, 16);
		array_foreach(&explaining->mails, explained) {
			if (explained->gbox == gbox)
				seq_range_array_add(&uids, explained->uid);
		}
		if (array_count(&uids) == 0 ||
		    gather_mailbox_open(gbox, &error) < 0)
			continue;
		explaining->gbox = gbox;
		(void)mailbox_evidence_read(gbox->box, &uids,
					    MAILBOX_EVIDENCE_HEADER,
					    explain_evidence, explaining,
					    &error);
		gather_mailbox_close(gbox);
	}
}

static void explain_add(struct uidl_gather *gather, unsigned int idx,
			struct explaining *explaining)
{
	struct explained *explained;
	struct gather_pop3_mail *mail =
		array_idx_modifiable(&gather->pop3_mails, idx);
	unsigned int nearest, mailbox;

	if (mail->header == NULL)
		return;
	(void)uidl_match_leftover_pop3(gather->match, idx, &nearest);
	if (nearest == UINT_MAX)
		return;
	explained = array_append_space(&explaining->mails);
	explained->mail = mail;
	explained->uid = gather_find_imap(gather, nearest, &mailbox)->uid;
	explained->gbox = array_idx_modifiable(&gather->mailboxes, mailbox);
}

/* ", Message-ID <x@y>, Date ..." as far as they are there (data stack). */
static const char *describe_header(const void *data, size_t size)
{
	static const char *const names[] = { "Message-ID", "Date" };
	string_t *str = t_str_new(128);
	const char *value;

	for (unsigned int i = 0; i < N_ELEMENTS(names); i++) {
		value = header_get_value(data, size, names[i]);
		if (*value != '\0')
			str_printfa(str, ", %s %s", names[i], value);
	}
	return str_c(str);
}

struct describing {
	struct uidl_gather *gather;
	/* the matcher's */
	ARRAY_TYPE(uint32_t) indexes;
};

static void
describe_evidence(void *context, const struct mailbox_evidence *evidence)
{
	struct describing *describing = context;
	struct gather_imap_mail *mail;
	unsigned int mailbox;
	uint32_t idx;

	array_foreach_elem(&describing->indexes, idx) {
		mail = gather_find_imap(describing->gather, idx, &mailbox);
		if (mail->uid == evidence->uid) T_BEGIN {
			mail->description = p_strdup(describing->gather->pool,
				describe_header(evidence->header_text,
						evidence->header_text_size));
		} T_END;
	}
}

/* What the INBOX's mails without a POP3 mail are. */
static void gather_describe_imap(struct uidl_gather *gather)
{
	struct describing describing = { .gather = gather };
	struct gather_mailbox *inbox = array_front_modifiable(&gather->mailboxes);
	ARRAY_TYPE(seq_range) uids;
	const struct gather_imap_mail *mail;
	unsigned int partner;
	uint32_t idx = inbox->first_idx;
	const char *error;

	t_array_init(&uids, 16);
	t_array_init(&describing.indexes, 16);
	array_foreach(&inbox->mails, mail) {
		if (array_count(&describing.indexes) < MAX_EXPLAINED &&
		    uidl_match_get_imap(gather->match, idx, &partner) ==
		    UIDL_MATCH_NONE) {
			seq_range_array_add(&uids, mail->uid);
			array_push_back(&describing.indexes, &idx);
		}
		idx++;
	}
	if (array_count(&uids) == 0 || gather_mailbox_open(inbox, &error) < 0)
		return;
	(void)mailbox_evidence_read(inbox->box, &uids, MAILBOX_EVIDENCE_HEADER,
				    describe_evidence, &describing, &error);
	gather_mailbox_close(inbox);
}

/* How POP3 mails without an IMAP mail differ from the nearest. */
static void gather_explain_pop3(struct uidl_gather *gather)
{
	struct explaining explaining;
	ARRAY_TYPE(uint32_t) leftovers;
	enum pop3_client_error type;
	const char *error;
	uint32_t idx, count = array_count(&gather->pop3_mails);

	t_array_init(&leftovers, 16);
	for (idx = 0; idx < count; idx++) {
		if (gather_is_leftover(gather, idx) &&
		    array_count(&leftovers) < MAX_EXPLAINED)
			array_push_back(&leftovers, &idx);
	}
	if (array_count(&leftovers) == 0 || gather->no_top ||
	    gather_pop3_read(gather, array_front(&leftovers),
			     array_count(&leftovers),
			     GATHER_POP3_READ_HEADER_TEXTS, &error, &type) < 0)
		return;
	explaining.pool = gather->pool;
	t_array_init(&explaining.mails, 16);
	array_foreach_elem(&leftovers, idx)
		explain_add(gather, idx, &explaining);
	explain_nearest(gather, &explaining);
}

/* If anything goes wrong here, less is said. */
void gather_explain(struct uidl_gather *gather)
{
	gather_explain_pop3(gather);
	gather_describe_imap(gather);
}

/* --- findings --- */

static const char *describe_size(uoff_t size)
{
	return size == UOFF_T_MAX ? "size unknown" :
		t_strdup_printf("%"PRIuUOFF_T" bytes", size);
}

static void
gather_report_pop3(struct uidl_gather *gather, struct migration_run *run,
		   unsigned int idx, unsigned int number,
		   enum migration_severity severity)
{
	const struct gather_mailbox *inbox = array_front(&gather->mailboxes);
	const struct gather_pop3_mail *mail =
		array_idx(&gather->pop3_mails, idx);
	unsigned int nearest = UINT_MAX, mailbox;
	const char *reason, *where = "";
	uint32_t uid = 0;

	if (mail->late) {
		migration_run_finding(run, MIGRATION_SEVERITY_INFO,
			inbox->box->vname, 0, FINDING_UIDL_LATE,
			"POP3 mail %u (UIDL %s) was delivered during the run; "
			"the next run brings it", mail->number,
			str_sanitize(mail->uidl, 80));
		return;
	}
	if (number > MAX_EXPLAINED)
		reason = "not looked into, there are too many of them";
	else
		reason = uidl_match_leftover_pop3(gather->match, idx, &nearest);
	if (nearest != UINT_MAX) {
		uid = gather_find_imap(gather, nearest, &mailbox)->uid;
		where = t_strdup_printf(" (UID %u%s%s)", uid,
			*mail->difference == '\0' ? "" : ": ",
			mail->difference);
	}
	migration_run_finding(run, severity, inbox->box->vname, uid,
		FINDING_UIDL_UNMATCHED,
		"POP3 mail %u (UIDL %s, %s%s) has no IMAP mail: "
		"%s%s", mail->number, str_sanitize(mail->uidl, 80),
		describe_size(mail->size),
		mail->header == NULL ? "" :
		describe_header(mail->header, mail->header_size), reason, where);
}

/* How the header of a POP3 mail without partner differs from its nearest IMAP
   mail's, if that is this one; "" otherwise. */
static const char *
describe_difference(struct uidl_gather *gather, unsigned int imap_idx,
		    unsigned int pop3_idx)
{
	const struct gather_pop3_mail *mail =
		array_idx(&gather->pop3_mails, pop3_idx);
	unsigned int nearest = UINT_MAX;

	if (*mail->difference != '\0') {
		(void)uidl_match_leftover_pop3(gather->match, pop3_idx,
					       &nearest);
	}
	return nearest != imap_idx ? "" :
		t_strconcat(": ", mail->difference, NULL);
}

static void
gather_report_imap(struct uidl_gather *gather, struct migration_run *run,
		   unsigned int idx, unsigned int number)
{
	unsigned int nearest = UINT_MAX, mailbox;
	const struct gather_imap_mail *mail =
		gather_find_imap(gather, idx, &mailbox);
	const struct gather_mailbox *gbox =
		array_idx(&gather->mailboxes, mailbox);
	const struct gather_pop3_mail *pop3_mail;
	const char *reason, *where = "";

	if (number > MAX_EXPLAINED)
		reason = "not looked into, there are too many of them";
	else {
		reason = uidl_match_leftover_imap(gather->match, idx,
						  &nearest);
	}
	if (nearest != UINT_MAX) {
		pop3_mail = array_idx(&gather->pop3_mails, nearest);
		where = t_strdup_printf(" (POP3 mail %u, UIDL %s%s)",
			pop3_mail->number, str_sanitize(pop3_mail->uidl, 80),
			describe_difference(gather, idx, nearest));
	}
	migration_run_finding(run, MIGRATION_SEVERITY_INFO, gbox->box->vname,
		mail->uid, FINDING_UIDL_NONE,
		"The POP3 server does not list this mail (%s%s), so it has no "
		"UIDL from there: %s%s", describe_size(mail->size),
		mail->description == NULL ? "" : mail->description,
		reason, where);
}

/* TRUE if the format makes the UIDLs of all mails, not only of those that a
   server has added by itself to what it was given. */
static bool gather_all_follow(struct uidl_gather *gather,
			      const struct uidl_format *format)
{
	const struct gather_mailbox *inbox = array_front(&gather->mailboxes);
	const struct gather_pop3_mail *mail;
	struct uidl_format_value value;
	unsigned int idx = 0, partner, mailbox;

	i_zero(&value);
	value.uidvalidity = inbox->uidvalidity;
	array_foreach(&gather->pop3_mails, mail) {
		if (uidl_match_get_pop3(gather->match, idx++, &partner) ==
		    UIDL_MATCH_NONE)
			continue;
		value.uid = gather_find_imap(gather, partner, &mailbox)->uid;
		if (mailbox != 0 ||
		    strcmp(uidl_format_write(format, &value), mail->uidl) != 0)
			return FALSE;
	}
	return TRUE;
}

static void gather_report_odd(struct uidl_gather *gather,
			      struct migration_run *run,
			      const struct uidl_match_result *result)
{
	const struct gather_mailbox *inbox = array_front(&gather->mailboxes);

	if (result->repeated_uidls > 0) {
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING,
			inbox->box->vname, 0, FINDING_UIDL_REPEATED,
			"%u mails have a UIDL that the POP3 server gives to "
			"another mail as well; they stay as they are",
			result->repeated_uidls);
	}
	if (result->odd_uidls > 0) {
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING,
			inbox->box->vname, 0, FINDING_UIDL_ODD,
			"%u UIDLs are longer than 70 characters or have others "
			"than RFC 1939 allows (the first: \"%s\"); they are "
			"kept as they are", result->odd_uidls,
			str_sanitize(result->first_odd_uidl, 80));
	}
	if (result->format != NULL && result->format->dovecot_23 != NULL &&
	    gather_all_follow(gather, result->format)) {
		migration_run_finding(run, MIGRATION_SEVERITY_INFO,
			inbox->box->vname, 0, FINDING_UIDL_FORMAT,
			"The UIDLs follow a format (%s, confirmed by %u mails) "
			"that Dovecot can make itself: pop3_uidl_format = %s "
			"on 2.3, %s on 2.4", result->format->name,
			result->format_sample, result->format->dovecot_23,
			result->format->dovecot_24);
	}
}

void uidl_gather_report(struct uidl_gather *gather, bool pop3_is_error)
{
	struct migration_run *run = migration_run_find(gather->set.user);
	struct uidl_match_result result;
	unsigned int i, partner, pop3_number = 0, imap_number = 0;

	uidl_match_get_result(gather->match, &result);
	gather_report_odd(gather, run, &result);
	for (i = 0; i < result.pop3_count; i++) T_BEGIN {
		if (uidl_match_get_pop3(gather->match, i, &partner) ==
		    UIDL_MATCH_NONE) {
			gather_report_pop3(gather, run, i, ++pop3_number,
				pop3_is_error ? MIGRATION_SEVERITY_ERROR :
				MIGRATION_SEVERITY_WARNING);
		}
	} T_END;
	/* folders that merely are not part of the maildrop say nothing */
	for (i = 0; i < result.imap_count; i++) T_BEGIN {
		if (gather_find_mailbox(gather, i) == 0 &&
		    uidl_match_get_imap(gather->match, i, &partner) ==
		    UIDL_MATCH_NONE)
			gather_report_imap(gather, run, i, ++imap_number);
	} T_END;
}
