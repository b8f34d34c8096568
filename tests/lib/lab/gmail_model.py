# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must be at the destination after an account of lab.gmail was migrated:
the mapping of labels once more, independent of the code under test."""

import fnmatch
import hashlib

# The keyword of each label of the sample, as a person would write it down.
KEYWORDS = {
    "Work": "Work", "work": "work_e274eeff", "Work/2024": "Work/2024",
    "Muller & Sohne": "Muller_&_Sohne",
    "Müller & Söhne": "Muller_&_Sohne_" + hashlib.sha1(
        "Müller & Söhne".encode()).hexdigest()[:8],
    "Two Words": "Two_Words", "(done) [x]": "_done___x_",
    "日本": "&ZeVnLA-", "Junk": "_Junk", "Family/Kids": "Family/Kids",
}


def keywords_of(message, folder, account, policy):
    label = account.label_of(folder)
    words = set()
    if "\\Important" in message.labels:
        words.add("$Important")
    if "\\Muted" in message.labels:
        words.add("$Muted")
    if policy != "folders":
        words |= {KEYWORDS.get(name, name) for name in message.labels
                  if name[0] != "\\"}
    if label == "\\All" and message.labels - {"\\Muted"}:
        words.add("$GMailHaveLabels")
    return words


def is_migrated(label, policy):
    return policy != "keywords" or label in {
        "\\Inbox", "\\All", "\\Sent", "\\Draft", "\\Spam", "\\Trash", "\\Chat"}


def digest(mail):
    return hashlib.sha256(mail.text).hexdigest()


def is_excluded(account, folder, masks):
    """masks: those of doveadm's -x, names or special-use attributes"""
    return any(account.special_use.get(folder) == mask
               if mask[0] == "\\" else fnmatch.fnmatchcase(folder, mask)
               for mask in masks)


def expected(account, policy, masks=(), unlabelled=False):
    """{folder: {UID: (flags, keywords, text)}}; unlabelled is
    -O '-$GMailHaveLabels'"""
    result = {}
    for folder, mails in account.folders.items():
        if not is_migrated(account.label_of(folder), policy) or \
                is_excluded(account, folder, masks):
            continue
        shown = {mail.uid: (set(mail.message.flags),
                            keywords_of(mail.message, folder, account, policy),
                            digest(mail)) for mail in mails}
        if unlabelled:
            shown = {uid: mail for uid, mail in shown.items()
                     if "$GMailHaveLabels" not in mail[1]}
        result[folder] = shown
    return result


def not_in(account, policy, boxes):
    """The same of the messages of All Mail that none of the boxes has."""
    have = {mail[2] for box in boxes.values() for mail in box.values()}
    folder = account.own_folder("\\All")
    return {uid: mail for uid, mail in
            expected(account, policy)[folder].items() if mail[2] not in have}
