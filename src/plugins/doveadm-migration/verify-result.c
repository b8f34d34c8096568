/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "migration-report.h"
#include "migration-run.h"
#include "verify-result.h"

static void
record_finding(const struct verify_result *result, struct migration_run *run,
	       const struct parity_difference *diff)
{
	migration_run_finding(run, diff->weight == PARITY_WEIGHT_DIFFERENT ?
			      MIGRATION_SEVERITY_ERROR :
			      MIGRATION_SEVERITY_INFO,
			      result->name, diff->uid,
			      parity_kind_finding(diff->kind),
			      "source [%s], destination [%s]: %s",
			      str_sanitize(diff->source, 80),
			      str_sanitize(diff->dest, 80), diff->reason);
}

void verify_result_add(struct verify_result *result, struct migration_run *run,
		       const ARRAY_TYPE(parity_difference) *differences)
{
	const struct parity_difference *diff;

	array_foreach(differences, diff) T_BEGIN {
		result->counts[diff->weight][diff->kind]++;
		record_finding(result, run, diff);
	} T_END;
}

static bool
append_counts(string_t *dest, const unsigned int *counts, bool json)
{
	unsigned int i;
	bool any = FALSE;

	for (i = 0; i < PARITY_KIND_COUNT; i++) {
		if (counts[i] == 0)
			continue;
		if (any)
			str_append(dest, ", ");
		if (json) {
			str_printfa(dest, "\"%s\": %u", parity_kind_name(i),
				    counts[i]);
		} else {
			str_printfa(dest, "%u %s", counts[i],
				    parity_kind_name(i));
		}
		any = TRUE;
	}
	return any;
}

bool verify_result_is_equal(const struct verify_result *result)
{
	unsigned int i;

	for (i = 0; i < PARITY_KIND_COUNT; i++) {
		if (result->counts[PARITY_WEIGHT_DIFFERENT][i] != 0)
			return FALSE;
	}
	return result->error == NULL;
}

const char *verify_result_text(const struct verify_result *result)
{
	string_t *expected = t_str_new(64);
	string_t *text = t_str_new(128);

	if (result->error != NULL)
		return t_strdup_printf("not compared: %s", result->error);
	if (verify_result_is_equal(result))
		str_append(text, "equal");
	else {
		str_append(text, "different: ");
		append_counts(text, result->counts[PARITY_WEIGHT_DIFFERENT],
			      FALSE);
	}
	if (append_counts(expected, result->counts[PARITY_WEIGHT_EXPECTED],
			  FALSE))
		str_printfa(text, " (expected: %s)", str_c(expected));
	return str_c(text);
}

static void
append_side(string_t *dest, const char *name, unsigned int count,
	    uint32_t uid_validity, const char *digest)
{
	str_printfa(dest, "\"%s\": {\"mails\": %u, \"uidvalidity\": ",
		    name, count);
	if (uid_validity == 0)
		str_append(dest, "null");
	else
		str_printfa(dest, "%u", uid_validity);
	str_append(dest, ", \"digest\": ");
	if (digest == NULL)
		str_append(dest, "null");
	else
		migration_report_append_string(dest, digest);
	str_append(dest, "}, ");
}

void verify_result_append_json(string_t *dest,
			       const struct verify_result *result)
{
	str_append(dest, "{\"mailbox\": ");
	migration_report_append_string(dest, result->name);
	str_append(dest, ", ");
	append_side(dest, "source", result->source_count,
		    result->source_uid_validity, result->source_digest);
	append_side(dest, "destination", result->dest_count,
		    result->dest_uid_validity, result->dest_digest);
	str_printfa(dest, "\"texts\": %u, \"equal\": %s, \"error\": ",
		    result->text_count,
		    verify_result_is_equal(result) ? "true" : "false");
	if (result->error == NULL)
		str_append(dest, "null");
	else
		migration_report_append_string(dest, result->error);
	str_append(dest, ", \"differences\": {");
	append_counts(dest, result->counts[PARITY_WEIGHT_DIFFERENT], TRUE);
	str_append(dest, "}, \"expected\": {");
	append_counts(dest, result->counts[PARITY_WEIGHT_EXPECTED], TRUE);
	str_append(dest, "}}");
}
