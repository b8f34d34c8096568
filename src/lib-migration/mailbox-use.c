/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "unichar.h"
#include "mailbox-use.h"

/* Where the names come from:

   - Outlook and Exchange: the folders are made in the language of the client that
     opens the account first, and keep their names (Microsoft KB 251636 and
     820501). Names: the same help page in each language, e.g.
     support.microsoft.com "Empty the Deleted Items folder in Outlook" (de-de,
     fr-fr, es-es, it-it, nl-nl, pl-pl, pt-br, pt-pt, sv-se, da-dk, nb-no, fi-fi,
     cs-cz, hu-hu, tr-tr, ru-ru).
   - GMX and WEB.DE: support.gmx.com/email/folders/systemfolder.html and its
     German version (Gesendet, Entwürfe, Papierkorb, Spamverdacht).
   - Yahoo: Bulk Mail, Draft (doc/providers.md).
   - Webmail and clients in the user's language: Open-Xchange, Roundcube, Zimbra,
     Thunderbird; compared with the list that nodemailer's imapflow collected
     (lib/special-use.js).

   English names are here because servers without special-use have those, too. */
static const struct {
	const char *use;
	/* NULL-terminated */
	const char *const *names;
} known_uses[] = {
	{ "\\Archive", (const char *const []) {
		"Archive", "Archives", "Archiv", "Archivo", "Archivio",
		"Archief", "Archiwum", "Arquivo", "Arquivo Morto", "Arkiv",
		"Arkisto", "Archívum", "Arşiv", "Архив", NULL } },
	{ "\\Drafts", (const char *const []) {
		"Drafts", "Draft", "Entwürfe", "Brouillons", "Borradores",
		"Bozze", "Concepten", "Kopie robocze", "Wersje robocze",
		"Szkice", "Rascunhos", "Utkast", "Kladder", "Luonnokset",
		"Koncepty", "Piszkozatok", "Taslaklar", "Черновики", NULL } },
	{ "\\Junk", (const char *const []) {
		"Junk", "Junk E-mail", "Junk Email", "Junk Mail", "Bulk Mail",
		"Spam", "Spamverdacht", "Junk-E-Mail", "Unerwünscht",
		"Courrier indésirable", "Indésirables", "Pourriel",
		"Correo no deseado", "Correo basura", "Posta indesiderata",
		"Ongewenste e-mail", "Wiadomości-śmieci", "Lixo Eletrônico",
		"Lixo Eletrónico", "Skräppost", "Uønsket mail",
		"Uønsket e-post", "Søppelpost", "Roskaposti",
		"Nevyžádaná pošta", "Levélszemét", "Gereksiz E-posta",
		"Нежелательная почта", "Спам", NULL } },
	{ "\\Sent", (const char *const []) {
		"Sent", "Sent Items", "Sent Mail", "Sent Messages",
		"Gesendet", "Gesendete Elemente", "Gesendete Objekte",
		"Gesendete Nachrichten", "Éléments envoyés", "Envoyés",
		"Messages envoyés", "Objets envoyés", "Elementos enviados",
		"Enviados", "Correo enviado", "Posta inviata", "Inviati",
		"Elementi inviati", "Verzonden", "Verzonden items",
		"Verzonden berichten", "Elementy wysłane", "Wysłane",
		"Itens enviados", "Enviadas", "Mensagens enviadas", "Skickat",
		"Skickade", "Sendt", "Sendt post", "Sendte elementer",
		"Lähetetyt", "Odeslaná pošta", "Odeslané",
		"Elküldött elemek", "Elküldött", "Gönderilmiş Öğeler",
		"Отправленные", NULL } },
	{ "\\Trash", (const char *const []) {
		"Trash", "Bin", "Deleted", "Deleted Items",
		"Deleted Messages", "Papierkorb", "Gelöscht",
		"Gelöschte Elemente", "Gelöschte Objekte", "Corbeille",
		"Éléments supprimés", "Messages supprimés", "Papelera",
		"Elementos eliminados", "Cestino", "Posta eliminata",
		"Elementi eliminati", "Prullenbak", "Prullenmand",
		"Verwijderde items", "Kosz", "Elementy usunięte", "Lixeira",
		"Itens excluídos", "Itens eliminados", "Papperskorgen",
		"Borttaget", "Borttagna objekt", "Slettet post",
		"Slettede elementer", "Papirkurv", "Poistetut",
		"Roskakori", "Odstraněná pošta", "Koš", "Törölt elemek",
		"Kuka", "Silinmiş Öğeler", "Удаленные", "Удалённые",
		"Корзина", NULL } },
};

/* "" for what is no UTF-8: no name is */
static const char *comparable(const char *name)
{
	buffer_t *buf = t_buffer_create(64);

	if (uni_utf8_to_decomposed_titlecase(name, strlen(name), buf) < 0)
		return "";
	return str_c(buf);
}

static bool names_have(const char *const *names, const char *name)
{
	for (; *names != NULL; names++) {
		if (strcmp(comparable(*names), name) == 0)
			return TRUE;
	}
	return FALSE;
}

const char *mailbox_use_of_name(const char *name)
{
	const char *use = NULL;
	unsigned int i;

	T_BEGIN {
		name = comparable(name);
		for (i = 0; i < N_ELEMENTS(known_uses) && use == NULL; i++) {
			if (names_have(known_uses[i].names, name))
				use = known_uses[i].use;
		}
	} T_END;
	return use;
}

static bool
use_is_told(const ARRAY_TYPE(mailbox_map_entry) *entries, const char *use)
{
	const struct mailbox_map_entry *entry;

	array_foreach(entries, entry) {
		if (str_array_icase_find(
			t_strsplit_spaces(entry->special_use, " "), use))
			return TRUE;
	}
	return FALSE;
}

/* NULL if its name says nothing, or need not. */
static const char *
guess_entry(const struct mailbox_map_entry *entry, char separator)
{
	if (entry->special_use[0] != '\0' || entry->is_inbox ||
	    entry->noselect || entry->owner != MAILBOX_OWNER_SELF ||
	    strchr(entry->name, separator) != NULL)
		return NULL;
	return mailbox_use_of_name(entry->name);
}

static void
guess_use(ARRAY_TYPE(mailbox_map_entry) *entries, const char *use,
	  char separator)
{
	struct mailbox_map_entry *entry, *found = NULL;

	if (use_is_told(entries, use))
		return;
	array_foreach_modifiable(entries, entry) {
		if (guess_entry(entry, separator) != use)
			continue;
		if (found != NULL)
			return;
		found = entry;
	}
	if (found != NULL)
		found->special_use = use;
}

void mailbox_use_guess(ARRAY_TYPE(mailbox_map_entry) *entries, char separator)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(known_uses); i++) T_BEGIN {
		guess_use(entries, known_uses[i].use, separator);
	} T_END;
}
