/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "special-use.h"

static const struct {
	const char *name;
	enum mailbox_info_flags flag;
} special_uses[] = {
	{ "\\All", MAILBOX_SPECIALUSE_ALL },
	{ "\\Archive", MAILBOX_SPECIALUSE_ARCHIVE },
	{ "\\Drafts", MAILBOX_SPECIALUSE_DRAFTS },
	{ "\\Flagged", MAILBOX_SPECIALUSE_FLAGGED },
	{ "\\Important", MAILBOX_SPECIALUSE_IMPORTANT },
	{ "\\Junk", MAILBOX_SPECIALUSE_JUNK },
	{ "\\Sent", MAILBOX_SPECIALUSE_SENT },
	{ "\\Trash", MAILBOX_SPECIALUSE_TRASH },
};

enum mailbox_info_flags special_use_flag(const char *name)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(special_uses); i++) {
		if (strcasecmp(special_uses[i].name, name) == 0)
			return special_uses[i].flag;
	}
	return 0;
}

const char *special_use_names(enum mailbox_info_flags flags)
{
	const char *names = "";
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(special_uses); i++) {
		if ((flags & special_uses[i].flag) != 0) {
			names = t_strconcat(names, names[0] == '\0' ? "" : " ",
					    special_uses[i].name, NULL);
		}
	}
	return names;
}
