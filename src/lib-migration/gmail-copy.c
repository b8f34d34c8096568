/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "gmail-copy.h"

enum gmail_copy_way
gmail_copy_decide(const struct gmail_copy_mail *source,
		  const struct gmail_copy_mail *local, bool metadata_is_shared,
		  const char **reason_r)
{
	/* An id alone is not enough: what is not equal byte for byte must not
	   take the place of what the server has. */
	if (source->size == UOFF_T_MAX || local->size == UOFF_T_MAX) {
		*reason_r = "the size is not known, so the text may differ";
		return GMAIL_COPY_FETCH;
	}
	if (source->size != local->size) {
		*reason_r = "same id, but another size";
		return GMAIL_COPY_FETCH;
	}
	if (source->received_date != local->received_date) {
		*reason_r = "same text, but another INTERNALDATE";
		return GMAIL_COPY_TEXT;
	}
	if (metadata_is_shared &&
	    strcmp(source->pop3_uidl, local->pop3_uidl) != 0) {
		*reason_r = "same text, but another POP3 UIDL";
		return GMAIL_COPY_TEXT;
	}
	if (metadata_is_shared && source->pop3_order != local->pop3_order) {
		*reason_r = "same text, but another place in the POP3 order";
		return GMAIL_COPY_TEXT;
	}
	*reason_r = "the same message";
	return GMAIL_COPY_SHARE;
}
