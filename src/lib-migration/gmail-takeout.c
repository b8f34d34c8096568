/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "gmail-takeout.h"

/* How a label counts that is neither a folder nor a label in IMAP. */
#define TAKEOUT_OPENED "opened"
#define TAKEOUT_UNREAD "unread"
#define TAKEOUT_ARCHIVED "archived"

/* Gmail's own labels by the names that people see. Another language's become
   folders or keywords like labels of the user: nothing is lost.
   quirk: takeout-languages */
static const struct {
	const char *name, *label;
} system_names[] = {
	{ "Inbox", "\\Inbox" },
	{ "Posteingang", "\\Inbox" },
	{ "Boîte de réception", "\\Inbox" },
	{ "Recibidos", "\\Inbox" },
	{ "Posta in arrivo", "\\Inbox" },
	{ "Postvak IN", "\\Inbox" },
	{ "Caixa de entrada", "\\Inbox" },
	{ "Inkorgen", "\\Inbox" },
	{ "Innboks", "\\Inbox" },
	{ "Sent", "\\Sent" },
	{ "Gesendet", "\\Sent" },
	{ "Envoyé", "\\Sent" },
	{ "Messages envoyés", "\\Sent" },
	{ "Enviados", "\\Sent" },
	{ "Inviati", "\\Sent" },
	{ "Posta inviata", "\\Sent" },
	{ "Verzonden", "\\Sent" },
	{ "Draft", "\\Draft" },
	{ "Drafts", "\\Draft" },
	{ "Entwurf", "\\Draft" },
	{ "Entwürfe", "\\Draft" },
	{ "Brouillons", "\\Draft" },
	{ "Borradores", "\\Draft" },
	{ "Bozze", "\\Draft" },
	{ "Concepten", "\\Draft" },
	{ "Rascunhos", "\\Draft" },
	{ "Spam", "\\Spam" },
	{ "Trash", "\\Trash" },
	{ "Bin", "\\Trash" },
	{ "Papierkorb", "\\Trash" },
	{ "Corbeille", "\\Trash" },
	{ "Papelera", "\\Trash" },
	{ "Cestino", "\\Trash" },
	{ "Prullenbak", "\\Trash" },
	{ "Lixeira", "\\Trash" },
	{ "Starred", "\\Starred" },
	{ "Markiert", "\\Starred" },
	{ "Messages suivis", "\\Starred" },
	{ "Destacados", "\\Starred" },
	{ "Speciali", "\\Starred" },
	{ "Met ster", "\\Starred" },
	{ "Com estrela", "\\Starred" },
	{ "Important", "\\Important" },
	{ "Wichtig", "\\Important" },
	{ "Importantes", "\\Important" },
	{ "Importanti", "\\Important" },
	{ "Belangrijk", "\\Important" },
	{ "Importante", "\\Important" },
	{ "Muted", "\\Muted" },
	{ "Opened", TAKEOUT_OPENED },
	{ "Geöffnet", TAKEOUT_OPENED },
	{ "Ouvert", TAKEOUT_OPENED },
	{ "Ouverts", TAKEOUT_OPENED },
	{ "Abiertos", TAKEOUT_OPENED },
	{ "Aperti", TAKEOUT_OPENED },
	{ "Geopend", TAKEOUT_OPENED },
	{ "Abertos", TAKEOUT_OPENED },
	{ "Åpnet", TAKEOUT_OPENED },
	{ "Unread", TAKEOUT_UNREAD },
	{ "Ungelesen", TAKEOUT_UNREAD },
	{ "Non lus", TAKEOUT_UNREAD },
	{ "No leídos", TAKEOUT_UNREAD },
	{ "Non letti", TAKEOUT_UNREAD },
	{ "Da leggere", TAKEOUT_UNREAD },
	{ "Ongelezen", TAKEOUT_UNREAD },
	{ "Não lidas", TAKEOUT_UNREAD },
	{ "Ulest", TAKEOUT_UNREAD },
	{ "Archived", TAKEOUT_ARCHIVED },
	{ "Archiviert", TAKEOUT_ARCHIVED },
	{ "Archivés", TAKEOUT_ARCHIVED },
	{ "Messages archivés", TAKEOUT_ARCHIVED },
	{ "Archivados", TAKEOUT_ARCHIVED },
	{ "Archiviati", TAKEOUT_ARCHIVED },
	{ "Gearchiveerd", TAKEOUT_ARCHIVED },
	{ "Arquivados", TAKEOUT_ARCHIVED },
};

/* Categories are tabs of the Inbox. Gmail's IMAP does not show them. */
static const char *const category_prefixes[] = {
	"Category ", "Category: ", "Kategorie: ", "Catégorie : ", "Catégorie: ",
	"Categoría: ", "Categoria: ", "Categorie: ", "Kategori: ",
};

static const char imap_keyword_prefix[] = "IMAP_";

static const struct {
	const char *mailbox, *folder;
} folders[] = {
	{ "\\All", "All Mail" },
	{ "\\Sent", "Sent" },
	{ "\\Drafts", "Drafts" },
	{ "\\Junk", "Junk" },
	{ "\\Trash", "Trash" },
	{ "\\Flagged", "Starred" },
	{ "\\Important", "Important" },
};

const char *gmail_takeout_folder(const char *mailbox)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(folders); i++) {
		if (strcmp(folders[i].mailbox, mailbox) == 0)
			return folders[i].folder;
	}
	return mailbox;
}

/* -- the list */

/* The comma behind a field, or the end. A comma between quotes is text, unless
   the quote is not closed. */
static const char *field_end(const char *field)
{
	const char *p;
	bool quoted = FALSE;

	for (p = field; *p != '\0'; p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (*p == ',' && !quoted)
			return p;
	}
	return !quoted ? p : field + strcspn(field, ",");
}

/* Without the quotes around it, if there are any, and with those in it only
   once. takeout-quotes: Google doubles the quotes in a field, and does not always
   put quotes around it. */
static const char *field_text(const char *field, const char *end)
{
	string_t *text = t_str_new(64);

	while (field < end && *field == ' ')
		field++;
	while (end > field && end[-1] == ' ')
		end--;
	if (end - field >= 2 && *field == '"' && end[-1] == '"') {
		field++;
		end--;
	}
	for (; field < end; field++) {
		str_append_c(text, *field);
		if (*field == '"' && field + 1 < end && field[1] == '"')
			field++;
	}
	return str_c(text);
}

/* -- one label */

static const char *system_label_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(system_names); i++) {
		if (strcasecmp(system_names[i].name, name) == 0)
			return system_names[i].label;
	}
	return NULL;
}

static bool is_category(const char *name)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(category_prefixes); i++) {
		if (strncasecmp(name, category_prefixes[i],
				strlen(category_prefixes[i])) == 0)
			return TRUE;
	}
	return FALSE;
}

static void
add_label(struct gmail_takeout *takeout, const char *name, bool system,
	  pool_t pool)
{
	struct gmail_label *label = array_append_space(&takeout->labels);

	label->name = label->imap_name = p_strdup(pool, name);
	label->system = system;
}

static void
add_system_label(struct gmail_takeout *takeout, const char *label, pool_t pool)
{
	if (strcmp(label, TAKEOUT_UNREAD) == 0)
		takeout->flags &= ENUM_NEGATE(MAIL_SEEN);
	if (label[0] != '\\') {
		/* archived: all labels but \Inbox are there */
		return;
	}
	if (strcmp(label, "\\Draft") == 0)
		takeout->flags |= MAIL_DRAFT;
	if (strcmp(label, "\\Trash") == 0)
		takeout->place = GMAIL_PLACE_TRASH;
	else if (strcmp(label, "\\Spam") == 0)
		takeout->place = GMAIL_PLACE_SPAM;
	else
		add_label(takeout, label, TRUE, pool);
}

static void
add_field(struct gmail_takeout *takeout, const char *name, pool_t pool)
{
	const size_t prefix_len = sizeof(imap_keyword_prefix) - 1;
	const char *label = system_label_find(name);

	if (label != NULL)
		add_system_label(takeout, label, pool);
	else if (strncmp(name, imap_keyword_prefix, prefix_len) == 0 &&
		 name[prefix_len] != '\0') {
		name = p_strdup(pool, name + prefix_len);
		array_push_back(&takeout->keywords, &name);
	} else if (*name != '\0' && !is_category(name)) {
		add_label(takeout, name, FALSE, pool);
	}
}

void gmail_takeout_parse(const char *value, pool_t pool,
			 struct gmail_takeout *takeout_r)
{
	const char *end;

	i_zero(takeout_r);
	p_array_init(&takeout_r->labels, pool, 8);
	p_array_init(&takeout_r->keywords, pool, 2);
	takeout_r->place = GMAIL_PLACE_ALL;
	/* older archives say Unread and do not say Opened */
	takeout_r->flags = MAIL_SEEN;
	for (;;) {
		end = field_end(value);
		add_field(takeout_r, field_text(value, end), pool);
		if (*end == '\0')
			break;
		value = end + 1;
	}
}
