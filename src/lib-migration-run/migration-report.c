/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "iso8601-date.h"
#include "time-util.h"
#include "json-text.h"
#include "migration-file.h"
#include "error-advice.h"
#include "exit-code.h"
#include "provider.h"
#include "migration-run.h"
#include "migration-report.h"

#include <time.h>

/* examples of one kind of finding in the summary */
#define SUMMARY_EXAMPLES 3
/* a server's words can be long */
#define SUMMARY_WHY_MAX_CHARS 240

struct summary_kind {
	enum migration_severity severity;
	enum finding_kind kind;
	unsigned int count;
	const struct migration_finding *examples[SUMMARY_EXAMPLES];
};
ARRAY_DEFINE_TYPE(summary_kind, struct summary_kind);

void migration_report_append_string(string_t *dest, const char *text)
{
	json_text_append(dest, text);
}

static void
append_member(string_t *dest, const char *name, const char *value)
{
	str_printfa(dest, "  \"%s\": ", name);
	migration_report_append_string(dest, value);
	str_append(dest, ",\n");
}

static const char *timestamp(const struct timeval *tv)
{
	return iso8601_date_create_tm(gmtime(&tv->tv_sec), INT_MAX);
}

static long long duration_msecs(const struct migration_run *run)
{
	return timeval_diff_msecs(&run->end_time, &run->start_time);
}

static void append_counters(string_t *dest, const struct migration_run *run)
{
	unsigned int i;

	str_append(dest, "  \"counters\": {\n");
	for (i = 0; i < MIGRATION_COUNTER_COUNT; i++) {
		str_printfa(dest, "    \"%s\": %"PRIu64"%s\n",
			    migration_counter_name(i), run->counters[i],
			    i + 1 < MIGRATION_COUNTER_COUNT ? "," : "");
	}
	str_append(dest, "  },\n");
}

static uint64_t findings_total(const struct migration_run *run)
{
	uint64_t total = 0;
	unsigned int i;

	for (i = 0; i < MIGRATION_SEVERITY_COUNT; i++)
		total += run->finding_counts[i];
	return total;
}

static void
append_finding(string_t *dest, const struct migration_finding *finding)
{
	str_append(dest, "    {\"severity\": ");
	migration_report_append_string(dest,
		migration_severity_name(finding->severity));
	str_append(dest, ", \"mailbox\": ");
	if (finding->mailbox == NULL)
		str_append(dest, "null");
	else
		migration_report_append_string(dest, finding->mailbox);
	str_append(dest, ", \"uid\": ");
	if (finding->uid == 0)
		str_append(dest, "null");
	else
		str_printfa(dest, "%u", finding->uid);
	str_append(dest, ", \"what\": ");
	migration_report_append_string(dest, finding_name(finding->kind));
	str_append(dest, ", \"why\": ");
	migration_report_append_string(dest, finding->why);
	str_append_c(dest, '}');
}

static void append_findings(string_t *dest, const struct migration_run *run)
{
	const struct migration_finding *finding;
	unsigned int i;

	str_append(dest, "  \"finding_counts\": {");
	for (i = 0; i < MIGRATION_SEVERITY_COUNT; i++) {
		str_printfa(dest, "%s\"%s\": %"PRIu64, i == 0 ? "" : ", ",
			    migration_severity_name(i), run->finding_counts[i]);
	}
	str_printfa(dest, "},\n  \"findings_omitted\": %"PRIu64",\n",
		    findings_total(run) - array_count(&run->findings));

	str_append(dest, "  \"findings\": [");
	array_foreach(&run->findings, finding) T_BEGIN {
		str_append(dest, finding == array_front(&run->findings) ?
			   "\n" : ",\n");
		append_finding(dest, finding);
	} T_END;
	str_append(dest, array_count(&run->findings) == 0 ? "]" : "\n  ]");
}

static void append_mailboxes(string_t *dest, const struct migration_run *run)
{
	struct migration_run_mailbox *mailbox;
	const char *sep = "";

	str_append(dest, ",\n  \"mailboxes\": [");
	array_foreach_elem(&run->mailboxes, mailbox) T_BEGIN {
		str_printfa(dest, "%s\n    {\"mailbox\": ", sep);
		migration_report_append_string(dest, mailbox->name);
		str_printfa(dest, ", \"source_mails\": %u, \"saved\": %u, "
			    "\"deleted\": %u}", mailbox->source_mails,
			    mailbox->saved, mailbox->deleted);
		sep = ",";
	} T_END;
	str_append(dest, array_count(&run->mailboxes) == 0 ? "]" : "\n  ]");
}

static void append_waits(string_t *dest, const struct migration_run *run)
{
	const struct migration_run_wait *wait;
	const char *sep = "";

	str_append(dest, ",\n  \"waited\": [");
	array_foreach(&run->waits, wait) T_BEGIN {
		str_printfa(dest, "%s\n    {\"cause\": ", sep);
		migration_report_append_string(dest, wait->cause);
		str_printfa(dest, ", \"times\": %u, \"msecs\": %"PRIu64"}",
			    wait->times, wait->msecs);
		sep = ",";
	} T_END;
	str_append(dest, array_count(&run->waits) == 0 ? "]" : "\n  ]");
}

static void append_provider(string_t *dest, const struct migration_run *run)
{
	ARRAY_TYPE(provider_value) values;
	const struct provider_value *value;

	if (run->provider == NULL)
		return;
	t_array_init(&values, 8);
	provider_describe(run->provider, &values);
	str_append(dest, ",\n  \"provider\": {");
	array_foreach(&values, value) {
		str_printfa(dest, "\"%s\": ", value->name);
		migration_report_append_string(dest, value->value);
		str_append(dest, ", ");
	}
	str_append(dest, "\"because\": ");
	migration_report_append_string(dest, run->provider_reason);
	str_append_c(dest, '}');
}

static void append_sections(string_t *dest, const struct migration_run *run)
{
	const struct migration_run_section *section;

	array_foreach(&run->sections, section)
		str_printfa(dest, ",\n  \"%s\": %s", section->name, section->json);
}

/* What to do about the error that the run failed with; NULL if it did not fail,
   or if that is not known. */
static const struct error_advice *
failure_advice(const struct migration_run *run)
{
	return run->failure == NULL ||
		migration_exit_code_is_done(run->exit_code) ? NULL :
		error_advice_find(run->failure);
}

static void append_failure(string_t *dest, const struct migration_run *run)
{
	const struct error_advice *advice = failure_advice(run);

	if (advice == NULL)
		return;
	str_append(dest, ",\n  \"failure\": {\"error\": ");
	migration_report_append_string(dest, run->failure);
	str_append(dest, ", \"to_do\": ");
	migration_report_append_string(dest, advice->action);
	str_append_c(dest, '}');
}

const char *migration_report_program(void)
{
	return "dovecot-migration "DOVECOT_MIGRATION_VERSION;
}

void migration_report_append_json(string_t *dest,
				  const struct migration_run *run)
{
	i_assert(run->finished);

	str_printfa(dest, "{\n  \"report_version\": %d,\n",
		    MIGRATION_REPORT_VERSION);
	append_member(dest, "program",
		      migration_report_program());
	/* config.h is Dovecot's */
	append_member(dest, "dovecot", PACKAGE_VERSION);
	append_member(dest, "user", run->username);
	append_member(dest, "command", run->command);
	append_member(dest, "location", run->location);
	append_member(dest, "started", timestamp(&run->start_time));
	append_member(dest, "finished", timestamp(&run->end_time));
	str_printfa(dest, "  \"duration_msecs\": %lld,\n", duration_msecs(run));
	str_printfa(dest, "  \"exit_code\": %d,\n", run->exit_code);
	append_member(dest, "result",
		      migration_exit_code_meaning(run->exit_code));
	append_member(dest, "next_run",
		      migration_exit_code_next_run(run->exit_code));
	append_counters(dest, run);
	append_findings(dest, run);
	append_mailboxes(dest, run);
	append_waits(dest, run);
	append_provider(dest, run);
	append_failure(dest, run);
	append_sections(dest, run);
	str_append(dest, "\n}\n");
}

int migration_report_save(const struct migration_run *run, const char *path,
			  const char **error_r)
{
	string_t *json;
	int ret;

	json = str_new(default_pool, 4096);
	migration_report_append_json(json, run);
	ret = migration_file_replace(path, json, error_r);
	str_free(&json);
	return ret;
}

static struct summary_kind *
kind_get(ARRAY_TYPE(summary_kind) *kinds,
	 const struct migration_finding *finding)
{
	struct summary_kind *kind;

	array_foreach_modifiable(kinds, kind) {
		if (kind->severity == finding->severity &&
		    kind->kind == finding->kind)
			return kind;
	}
	kind = array_append_space(kinds);
	kind->severity = finding->severity;
	kind->kind = finding->kind;
	return kind;
}

static int
summary_kind_cmp(const struct summary_kind *a, const struct summary_kind *b)
{
	if (a->severity != b->severity)
		return a->severity > b->severity ? -1 : 1;
	return strcmp(finding_name(a->kind), finding_name(b->kind));
}

static void
findings_group(const struct migration_run *run, ARRAY_TYPE(summary_kind) *kinds)
{
	const struct migration_finding *finding;
	struct summary_kind *kind;

	array_foreach(&run->findings, finding) {
		kind = kind_get(kinds, finding);
		if (kind->count < SUMMARY_EXAMPLES)
			kind->examples[kind->count] = finding;
		kind->count++;
	}
	array_sort(kinds, summary_kind_cmp);
}

static void
append_example(string_t *dest, const struct migration_finding *finding)
{
	str_append(dest, "    ");
	if (finding->mailbox != NULL)
		str_printfa(dest, "%s ", str_sanitize(finding->mailbox, 100));
	if (finding->uid != 0)
		str_printfa(dest, "UID %u ", finding->uid);
	str_printfa(dest, "%s\n",
		    str_sanitize(finding->why, SUMMARY_WHY_MAX_CHARS));
}

static void append_kind(string_t *dest, const struct summary_kind *kind)
{
	unsigned int i;

	str_printfa(dest, "  %s: %s: %u\n",
		    migration_severity_name(kind->severity),
		    finding_name(kind->kind), kind->count);
	for (i = 0; i < kind->count && i < SUMMARY_EXAMPLES; i++)
		append_example(dest, kind->examples[i]);
	if (kind->count > SUMMARY_EXAMPLES) {
		str_printfa(dest, "    and %u more\n",
			    kind->count - SUMMARY_EXAMPLES);
	}
	if (kind->severity == MIGRATION_SEVERITY_ERROR) {
		str_printfa(dest, "    to do: %s\n",
			    finding_info(kind->kind)->action);
	}
}

static void
append_count(string_t *dest, const struct migration_run *run,
	     enum migration_counter counter, const char *unit)
{
	if (run->counters[counter] == 0)
		return;
	str_printfa(dest, ", %"PRIu64" %s", run->counters[counter], unit);
}

/* "474 kB": a person wants to know how much it was */
static void append_bytes(string_t *dest, const struct migration_run *run)
{
	static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB" };
	uint64_t amount = run->counters[MIGRATION_COUNTER_BYTES_FETCHED];
	unsigned int unit = 0;

	if (amount == 0)
		return;
	while (amount >= 10000 && unit + 1 < N_ELEMENTS(units)) {
		amount = amount / 1000 + (amount % 1000 >= 500 ? 1 : 0);
		unit++;
	}
	str_printfa(dest, ", %"PRIu64" %s", amount, units[unit]);
}

void migration_report_append_summary(string_t *dest,
				     const struct migration_run *run)
{
	ARRAY_TYPE(summary_kind) kinds;
	const struct summary_kind *kind;
	const struct error_advice *advice = failure_advice(run);
	long long msecs = duration_msecs(run);

	i_assert(run->finished);

	str_printfa(dest, "%s", run->command);
	if (run->location[0] != '\0')
		str_printfa(dest, " %s", run->location);
	str_printfa(dest, " of %s: %lld.%lld s", run->username,
		    msecs / 1000, msecs % 1000 / 100);
	append_count(dest, run, MIGRATION_COUNTER_MAILBOXES, "mailboxes");
	append_count(dest, run, MIGRATION_COUNTER_MAILS_SEEN, "mails");
	append_count(dest, run, MIGRATION_COUNTER_MAILS_FETCHED, "fetched");
	append_bytes(dest, run);
	append_count(dest, run, MIGRATION_COUNTER_MAILS_SAVED, "saved");
	append_count(dest, run, MIGRATION_COUNTER_MAILS_SKIPPED, "skipped");
	append_count(dest, run, MIGRATION_COUNTER_MAILS_EXPUNGED, "expunged");
	append_count(dest, run, MIGRATION_COUNTER_POP3_MAILS, "POP3 mails");
	append_count(dest, run, MIGRATION_COUNTER_POP3_MATCHED, "UIDLs matched");
	append_count(dest, run, MIGRATION_COUNTER_RECONNECTS, "reconnects");
	append_count(dest, run, MIGRATION_COUNTER_WAITS, "waits");
	append_count(dest, run, MIGRATION_COUNTER_MAILS_COMPARED, "compared");
	append_count(dest, run, MIGRATION_COUNTER_BODIES_COMPARED,
		     "texts compared");
	str_printfa(dest, ", %"PRIu64" findings: %s\n", findings_total(run),
		    migration_exit_code_meaning(run->exit_code));
	if (advice != NULL)
		str_printfa(dest, "  to do: %s\n", advice->action);

	t_array_init(&kinds, 8);
	findings_group(run, &kinds);
	array_foreach(&kinds, kind)
		append_kind(dest, kind);
	if (findings_total(run) > array_count(&run->findings)) {
		str_printfa(dest, "  %"PRIu64" findings were left out\n",
			    findings_total(run) - array_count(&run->findings));
	}
}
