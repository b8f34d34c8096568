/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "var-expand.h"
#include "mail-storage-private.h"
#include "pop3-uidl-format.h"

struct uidl_values {
	const char *uidvalidity, *uid, *md5, *filename, *guid;
};

#if DOVECOT_PREREQ(2, 4, 0)

static bool format_has(const char *format, char c ATTR_UNUSED, const char *name)
{
	return strstr(format, name) != NULL;
}

static int format_expand(string_t *dest, const char *format, struct mail *mail,
			 const struct uidl_values *values, const char **error_r)
{
	const struct var_expand_params params = {
		.table = (const struct var_expand_table[]) {
			{ .key = "uidvalidity", .value = values->uidvalidity },
			{ .key = "uid", .value = values->uid },
			{ .key = "md5", .value = values->md5 },
			{ .key = "filename", .value = values->filename },
			{ .key = "guid", .value = values->guid },
			VAR_EXPAND_TABLE_END
		},
		.event = mail->box->event,
	};

	return var_expand(dest, format, &params, error_r) < 0 ? -1 : 0;
}

#else

static bool format_has(const char *format, char c, const char *name)
{
	return var_has_key(format, c, name);
}

static int format_expand(string_t *dest, const char *format,
			 struct mail *mail ATTR_UNUSED,
			 const struct uidl_values *values, const char **error_r)
{
	const struct var_expand_table table[] = {
		{ 'v', values->uidvalidity, "uidvalidity" },
		{ 'u', values->uid, "uid" },
		{ 'm', values->md5, "md5" },
		{ 'f', values->filename, "filename" },
		{ 'g', values->guid, "guid" },
		{ '\0', NULL, NULL }
	};

	return var_expand(dest, format, table, error_r) <= 0 ? -1 : 0;
}

#endif

static int
get_value(struct mail *mail, const char *format, char c, const char *name,
	  enum mail_fetch_field field, const char **value_r,
	  const char **error_r)
{
	*value_r = "";
	if (!format_has(format, c, name))
		return 0;
	if (mail_get_special(mail, field, value_r) < 0) {
		*error_r = mailbox_get_last_internal_error(mail->box, NULL);
		return -1;
	}
	if ((*value_r)[0] == '\0') {
		*error_r = t_strdup_printf("pop3_uidl_format: %s is not "
			"supported by %s", name, mail->box->storage->name);
		return -1;
	}
	return 0;
}

int pop3_uidl_format_expand(struct mail *mail, string_t *dest,
			    const char **error_r)
{
	const char *format = mail->box->storage->set->pop3_uidl_format;
	struct mailbox_status status;
	struct uidl_values values;

	mailbox_get_open_status(mail->box, STATUS_UIDVALIDITY, &status);
	values.uidvalidity = dec2str(status.uidvalidity);
	values.uid = dec2str(mail->uid);
	if (get_value(mail, format, 'm', "md5", MAIL_FETCH_HEADER_MD5,
		      &values.md5, error_r) < 0 ||
	    get_value(mail, format, 'f', "filename", MAIL_FETCH_STORAGE_ID,
		      &values.filename, error_r) < 0 ||
	    get_value(mail, format, 'g', "guid", MAIL_FETCH_GUID,
		      &values.guid, error_r) < 0)
		return -1;
	return format_expand(dest, format, mail, &values, error_r);
}
