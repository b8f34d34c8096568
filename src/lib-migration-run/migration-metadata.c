/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "migration-metadata.h"

/* There are few such plugins. */
#define METADATA_MAX_PLUGINS 8

static const struct migration_metadata *plugins[METADATA_MAX_PLUGINS];
static unsigned int plugins_count = 0;

struct migration_metadata_tables {
	/* of each plugin, NULL if it wants nothing of this account */
	void *tables[METADATA_MAX_PLUGINS];
	bool opened;
};

void migration_metadata_register(const struct migration_metadata *metadata)
{
	i_assert(plugins_count < METADATA_MAX_PLUGINS);
	plugins[plugins_count++] = metadata;
}

void migration_metadata_unregister(const struct migration_metadata *metadata)
{
	unsigned int i;

	for (i = 0; i < plugins_count; i++) {
		if (plugins[i] != metadata)
			continue;
		plugins_count--;
		memmove(&plugins[i], &plugins[i + 1],
			(plugins_count - i) * sizeof(plugins[0]));
		return;
	}
	i_unreached();
}

const char *migration_metadata_items(struct mailbox_list *list,
				     bool *unsteady_r)
{
	string_t *items = t_str_new(64);
	const char *more;
	bool unsteady;
	unsigned int i;

	*unsteady_r = FALSE;
	for (i = 0; i < plugins_count; i++) {
		unsteady = FALSE;
		more = plugins[i]->items(list, &unsteady);
		if (more == NULL)
			continue;
		if (str_len(items) > 0)
			str_append_c(items, ' ');
		str_append(items, more);
		*unsteady_r = *unsteady_r || unsteady;
	}
	return str_c(items);
}

enum migration_metadata_when
migration_metadata_when(struct mailbox_list *list, const char *vname,
			const char *remote_name)
{
	enum migration_metadata_when when, latest = MIGRATION_METADATA_AHEAD;
	unsigned int i;

	for (i = 0; i < plugins_count; i++) {
		when = plugins[i]->when(list, vname, remote_name);
		latest = I_MAX(latest, when);
	}
	return latest;
}

struct migration_metadata_tables *
migration_metadata_begin(struct mailbox_list *list, const char *vname,
			 const char *remote_name)
{
	struct migration_metadata_tables *tables;
	unsigned int i;

	tables = i_new(struct migration_metadata_tables, 1);
	for (i = 0; i < plugins_count; i++) {
		tables->tables[i] = plugins[i]->begin(list, vname,
						      remote_name);
	}
	return tables;
}

void migration_metadata_add(struct migration_metadata_tables *tables,
			    uint32_t uid, const char *item,
			    const struct imap_arg *value)
{
	unsigned int i;

	for (i = 0; i < plugins_count; i++) {
		if (tables->tables[i] != NULL)
			plugins[i]->add(tables->tables[i], uid, item, value);
	}
}

bool migration_metadata_has_text(struct migration_metadata_tables *tables,
				 uint32_t uid)
{
	unsigned int i;

	for (i = 0; i < plugins_count; i++) {
		if (tables->tables[i] != NULL &&
		    plugins[i]->has_text(tables->tables[i], uid))
			return TRUE;
	}
	return FALSE;
}

void migration_metadata_text_unwanted(struct migration_metadata_tables *tables,
				      uint32_t uid)
{
	unsigned int i;

	for (i = 0; i < plugins_count; i++) {
		if (tables->tables[i] != NULL)
			plugins[i]->text_unwanted(tables->tables[i], uid);
	}
}

void migration_metadata_opened(struct migration_metadata_tables *tables,
			       struct mailbox *box, uint32_t uidnext)
{
	unsigned int i;

	tables->opened = TRUE;
	for (i = 0; i < plugins_count; i++) {
		if (tables->tables[i] != NULL)
			plugins[i]->opened(tables->tables[i], box, uidnext);
	}
}

void migration_metadata_end(struct migration_metadata_tables **_tables)
{
	struct migration_metadata_tables *tables = *_tables;
	unsigned int i;

	*_tables = NULL;
	if (tables == NULL)
		return;
	for (i = 0; i < plugins_count && !tables->opened; i++) {
		if (tables->tables[i] != NULL)
			plugins[i]->end(tables->tables[i]);
	}
	i_free(tables);
}
