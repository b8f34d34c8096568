/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "fetch-plan.h"

static const struct {
	enum fetch_plan_item item;
	const char *name;
} fetch_plan_item_names[] = {
	{ FETCH_PLAN_ITEM_INTERNALDATE, "INTERNALDATE" },
	{ FETCH_PLAN_ITEM_SIZE, "RFC822.SIZE" },
	{ FETCH_PLAN_ITEM_GUID, "GUID" },
	{ FETCH_PLAN_ITEM_HEADER, "BODY[HEADER]" },
	{ FETCH_PLAN_ITEM_BODY, "BODY[]" },
};

bool fetch_plan_command_copies(const char *command)
{
	static const char *const commands[] = { "import", "copy", "move", NULL };

	return command != NULL && str_array_find(commands, command);
}

enum fetch_plan_item
fetch_plan_extend(const struct fetch_plan_search *search, const char **reason_r)
{
	enum fetch_plan_item add = 0;

	*reason_r = NULL;
	if (fetch_plan_command_copies(search->command) &&
	    !search->matches_known) {
		add = FETCH_PLAN_ITEM_INTERNALDATE;
		*reason_r = "the query needs to look into each mail, "
			"texts follow for those that it finds";
	} else if (fetch_plan_command_copies(search->command)) {
		add = FETCH_PLAN_ITEM_BODY | FETCH_PLAN_ITEM_INTERNALDATE;
		*reason_r = "the command copies every mail that it finds";
	} else if ((search->wanted & FETCH_PLAN_ITEM_GUID) != 0 &&
		   search->guid_from_header &&
		   (search->wanted & FETCH_PLAN_ITEM_BODY) == 0) {
		add = FETCH_PLAN_ITEM_HEADER;
		*reason_r = "guid-forced makes the GUID from the header";
	}
	if (search->dsync_list && (search->learned & ~(add | search->wanted)) != 0) {
		add |= search->learned;
		if (*reason_r == NULL)
			*reason_r = "dsync's filters asked for it before";
	}
	add &= ENUM_NEGATE(search->wanted);
	if (add == 0)
		*reason_r = NULL;
	return add;
}

const char *fetch_plan_items_to_str(enum fetch_plan_item items)
{
	string_t *str = t_str_new(64);
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(fetch_plan_item_names); i++) {
		if ((items & fetch_plan_item_names[i].item) == 0)
			continue;
		if (str_len(str) > 0)
			str_append_c(str, ' ');
		str_append(str, fetch_plan_item_names[i].name);
	}
	return str_c(str);
}
