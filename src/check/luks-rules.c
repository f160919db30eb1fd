/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "check/luks-rules.h"

#include <string.h>

#define LUKS_VERSION 1

static const guint8 luks_magic[6] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };

/* A cipher that QEMU supports (crypto/block-luks.c). */
typedef struct
{
  const char *name;
  guint key_bytes[4]; /* sizes of keys in bytes, ended by 0 */
  gboolean is_new;    /* not in older versions of QEMU */
} Cipher;

static const Cipher ciphers[] = {
  { "aes", { 16, 24, 32, 0 }, FALSE },
  { "serpent", { 16, 24, 32, 0 }, FALSE },
  { "twofish", { 16, 24, 32, 0 }, FALSE },
  { "cast5", { 16, 0 }, FALSE },
  { "sm4", { 16, 0 }, TRUE },
};

/* A hash that QEMU supports (qapi/crypto.json). */
typedef struct
{
  const char *name;
  guint size; /* bytes of a digest */
  gboolean is_new;
} Hash;

static const Hash hashes[] = {
  { "md5", 16, FALSE },    { "sha1", 20, FALSE },      { "sha224", 28, FALSE },
  { "sha256", 32, FALSE }, { "sha384", 48, FALSE },    { "sha512", 64, FALSE },
  { "sm3", 32, TRUE },     { "ripemd160", 20, FALSE },
};

static const char *const modes[] = { "ecb", "cbc", "xts", "ctr", NULL };
static const char *const ivgens[] = { "plain", "plain64", "essiv", NULL };

typedef struct
{
  const Qcow2Luks *luks;
  guint64 offset;    /* host offset of the header */
  guint64 length;    /* bytes of the area for header and keys */
  guint64 file_size; /* bytes */
  Qcow2Findings *findings;
  Qcow2Subject subject;

  /* Set while the header is checked. */
  const Cipher *cipher; /* NULL if unknown to QEMU */
  gboolean knows_mode;
  gboolean is_xts;
} Context;

#define ADD(rule, member, ...)                                                \
  keep_inside (                                                               \
      c, qcow2_findings_add_at (c->findings, &c->subject, QCOW2_##rule,       \
                                QCOW2_PLACE (c->offset, qcow2_luks_record,    \
                                             Qcow2Luks, member, c->luks),     \
                                __VA_ARGS__))
#define ADD_SLOT(rule, i, member, ...)                                        \
  keep_inside (                                                               \
      c, qcow2_findings_add_at (                                              \
             c->findings, &c->subject, QCOW2_##rule,                          \
             QCOW2_PLACE (get_slot_start (c, i), qcow2_luks_slot_record,      \
                          Qcow2LuksSlot, member, &c->luks->slots[i]),         \
             __VA_ARGS__))

/* Returns the host offset of key slot I. */
static guint64
get_slot_start (const Context *c, guint i)
{
  return c->offset + qcow2_luks_get_slot_offset (i);
}

/* Moves FINDING, which may be NULL, to the end of the file if it is after
 * that. */
static void
keep_inside (const Context *c, Qcow2Finding *finding)
{
  if (finding != NULL)
    finding->offset = MIN (finding->offset, c->file_size);
}

static gboolean
is_terminated (const char *name, gsize size)
{
  return memchr (name, '\0', size) != NULL;
}

/* Returns the cipher NAME, or NULL if it is unknown to QEMU. */
static const Cipher *
find_cipher (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (ciphers); i++)
    {
      if (g_str_equal (ciphers[i].name, name))
        return &ciphers[i];
    }

  return NULL;
}

/* Returns the hash NAME, or NULL if it is unknown to QEMU. */
static const Hash *
find_hash (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (hashes); i++)
    {
      if (g_str_equal (hashes[i].name, name))
        return &hashes[i];
    }

  return NULL;
}

static void
check_cipher (Context *c)
{
  if (!is_terminated (c->luks->cipher_name, sizeof c->luks->cipher_name))
    {
      ADD (CRYPT_03_CIPHER, cipher_name, "the cipher name has no NUL byte");
      return;
    }

  c->cipher = find_cipher (c->luks->cipher_name);
  if (c->cipher == NULL)
    ADD (CRYPT_04, cipher_name, "the cipher is none that QEMU knows");
  else if (c->cipher->is_new)
    ADD (CRYPT_04_NEW, cipher_name,
         "the cipher is one that older versions of QEMU do not know");
}

/* ESSIV uses the digest of the key as another key for the same cipher, so the
 * cipher must support keys of the size of a digest. */
static void
check_essiv (Context *c, const char *hash_name, const Hash *hash)
{
  if (hash_name == NULL)
    {
      ADD (CRYPT_05_ESSIV, cipher_mode, "essiv names no hash");
      return;
    }
  if (c->cipher == NULL || hash == NULL)
    return;

  for (guint i = 0; c->cipher->key_bytes[i] != 0; i++)
    {
      if (c->cipher->key_bytes[i] == hash->size)
        return;
    }

  ADD (CRYPT_05_DIGEST, cipher_mode,
       "the hash for essiv has %u bytes, and the cipher takes no key of that "
       "size",
       hash->size);
}

/* The field cipher_mode has the form MODE-IVGEN or MODE-IVGEN:HASH. */
static void
check_mode (Context *c)
{
  if (!is_terminated (c->luks->cipher_mode, sizeof c->luks->cipher_mode))
    {
      ADD (CRYPT_03_MODE, cipher_mode, "the cipher mode has no NUL byte");
      return;
    }

  g_autofree char *mode = g_strdup (c->luks->cipher_mode);
  char *ivgen = strchr (mode, '-');
  if (ivgen == NULL)
    {
      ADD (CRYPT_05_FORM, cipher_mode,
           "the cipher mode names no generator of initial vectors");
      return;
    }

  *ivgen++ = '\0';
  char *hash_name = strchr (ivgen, ':');
  if (hash_name != NULL)
    *hash_name++ = '\0';

  const Hash *hash = hash_name == NULL ? NULL : find_hash (hash_name);
  if (hash_name != NULL && hash == NULL)
    ADD (CRYPT_05_HASH, cipher_mode,
         "the hash for initial vectors is none that QEMU knows");
  else if (hash != NULL && hash->is_new)
    ADD (CRYPT_06_NEW, cipher_mode,
         "the hash for initial vectors is one that older versions of QEMU do "
         "not know");
  c->knows_mode = g_strv_contains (modes, mode);
  c->is_xts = g_str_equal (mode, "xts");
  if (!c->knows_mode)
    ADD (CRYPT_05_MODE, cipher_mode,
         "the cipher mode is none that QEMU knows");
  if (!g_strv_contains ((const char *const *) ivgens, ivgen))
    ADD (CRYPT_05_IVGEN, cipher_mode,
         "the generator of initial vectors is none that QEMU knows");
  else if (g_str_equal (ivgen, "essiv"))
    check_essiv (c, hash_name, hash);
  /* XTS is defined for blocks of 128 bits. */
  if (c->is_xts && c->cipher != NULL && g_str_equal (c->cipher->name, "cast5"))
    ADD (CRYPT_05_BLOCK, cipher_mode,
         "the cipher has blocks of 64 bits, xts needs 128");
}

static void
check_hash (const Context *c)
{
  if (!is_terminated (c->luks->hash_spec, sizeof c->luks->hash_spec))
    {
      ADD (CRYPT_03_HASH, hash_spec, "the hash name has no NUL byte");
      return;
    }

  const Hash *hash = find_hash (c->luks->hash_spec);
  if (hash == NULL)
    ADD (CRYPT_06, hash_spec, "the hash is none that QEMU knows");
  else if (hash->is_new)
    ADD (CRYPT_06_NEW, hash_spec,
         "the hash is one that older versions of QEMU do not know");
}

static void
check_numbers (const Context *c)
{
  const guint32 payload = c->luks->payload_offset;

  if (payload < QCOW2_LUKS_ALIGNMENT)
    ADD (CRYPT_07_HEADER, payload_offset,
         "payload_offset %u is inside the header, which has %u sectors",
         payload, QCOW2_LUKS_ALIGNMENT);
  else if (payload > c->length / QCOW2_LUKS_SECTOR)
    ADD (CRYPT_07_END, payload_offset,
         "payload_offset %u is after the end of the crypto header, which "
         "has " QCOW2_U64_FORMAT " bytes",
         payload, c->length);
  if (c->luks->mk_digest_iter == 0)
    ADD (CRYPT_09, mk_digest_iter, "mk_digest_iter is 0");
}

/* Checks key_bytes.  Returns whether it may be the size of a key, from which
 * the size of the key material follows. */
static gboolean
check_key_bytes (const Context *c)
{
  const guint32 key_bytes = c->luks->key_bytes;

  if (c->cipher == NULL || !c->knows_mode)
    return key_bytes != 0;

  /* XTS has two keys of the same size.  QEMU rounds an odd half down here. */
  const guint32 wanted = c->is_xts ? key_bytes / 2 : key_bytes;
  gboolean takes = FALSE;
  for (guint i = 0; c->cipher->key_bytes[i] != 0; i++)
    takes = takes || c->cipher->key_bytes[i] == wanted;

  /* CAST5 itself takes keys of 40 to 128 bits. */
  if (!takes && g_str_equal (c->cipher->name, "cast5") && wanted >= 5
      && wanted < 16)
    ADD (CRYPT_08_CAST5, key_bytes,
         "key_bytes %u is none that QEMU takes for the cipher", key_bytes);
  else if (!takes)
    ADD (CRYPT_08, key_bytes,
         "key_bytes %u is none that the cipher takes in this mode", key_bytes);
  else if (c->is_xts && key_bytes % 2 != 0)
    ADD (CRYPT_08_ODD, key_bytes, "key_bytes %u is odd, but xts has two keys",
         key_bytes);
  else if (key_bytes * QCOW2_LUKS_STRIPES % QCOW2_LUKS_SECTOR != 0)
    ADD (CRYPT_08_SECTORS, key_bytes,
         "key_bytes %u times %u is no whole number of sectors", key_bytes,
         QCOW2_LUKS_STRIPES);
  return takes;
}

static gboolean
is_active (const Qcow2LuksSlot *slot)
{
  return slot->active == QCOW2_LUKS_SLOT_ACTIVE;
}

/* Returns the index of the first active slot, which is the first one that QEMU
 * tries, or QCOW2_LUKS_N_SLOTS if there is none. */
static guint
get_first_active (const Qcow2Luks *luks)
{
  guint i = 0;

  while (i < QCOW2_LUKS_N_SLOTS && !is_active (&luks->slots[i]))
    i++;
  return i;
}

static void
check_slot (const Context *c, guint i)
{
  const Qcow2LuksSlot *slot = &c->luks->slots[i];

  if (slot->active != QCOW2_LUKS_SLOT_INACTIVE && !is_active (slot))
    ADD_SLOT (CRYPT_11, i, active,
              "key slot %u: active 0x%x is neither 0x%x nor 0x%x", i,
              slot->active, QCOW2_LUKS_SLOT_INACTIVE, QCOW2_LUKS_SLOT_ACTIVE);
  if (is_active (slot) && slot->iterations == 0)
    ADD_SLOT (CRYPT_12, i, iterations, "key slot %u: iterations is 0", i);
  if (slot->stripes != QCOW2_LUKS_STRIPES)
    ADD_SLOT (CRYPT_10, i, stripes, "key slot %u: stripes %u is not %u", i,
              slot->stripes, QCOW2_LUKS_STRIPES);
}

/* Returns the size in bytes of the key material of a slot. */
static guint64
get_material_size (const Qcow2Luks *luks)
{
  return (guint64) luks->key_bytes * QCOW2_LUKS_STRIPES;
}

/* Returns the number of sectors of the key material of a slot, rounded up to
 * the alignment. */
static guint64
get_n_sectors (const Qcow2Luks *luks)
{
  const guint64 unit = QCOW2_LUKS_ALIGNMENT * QCOW2_LUKS_SECTOR;

  return (get_material_size (luks) + unit - 1) / unit * QCOW2_LUKS_ALIGNMENT;
}

/* Returns the sector at which the key material of SLOT ends in QEMU, whose sum
 * wraps around at 32 bits. */
static guint32
get_qemu_end (const Qcow2Luks *luks, const Qcow2LuksSlot *slot)
{
  return (guint32) ((slot->key_material_offset + get_n_sectors (luks))
                    & G_MAXUINT32);
}

static void
check_outside (const Context *c, guint i)
{
  if (!is_active (&c->luks->slots[i]))
    ADD_SLOT (
        CRYPT_13_UNUSED, i, key_material_offset,
        "key slot %u: it is not active, and has no room for a key inside the "
        "crypto header, which has " QCOW2_U64_FORMAT " bytes",
        i, c->length);
  else if (i == get_first_active (c->luks))
    ADD_SLOT (
        CRYPT_13_FIRST, i, key_material_offset,
        "key slot %u: the key material ends after the crypto header, which "
        "has " QCOW2_U64_FORMAT " bytes",
        i, c->length);
  else
    ADD_SLOT (
        CRYPT_13_LATER, i, key_material_offset,
        "key slot %u: the key material ends after the crypto header, which "
        "has " QCOW2_U64_FORMAT " bytes; slot %u is tried first",
        i, c->length, get_first_active (c->luks));
}

/* Checks the location of the key material of slot I.  Returns FALSE if it is
 * so wrong that comparing it with that of other slots is pointless. */
static gboolean
check_place (const Context *c, guint i)
{
  const Qcow2LuksSlot *slot = &c->luks->slots[i];
  const guint32 offset = slot->key_material_offset;
  const guint32 payload = c->luks->payload_offset;
  const guint64 start = (guint64) offset * QCOW2_LUKS_SECTOR;
  const guint64 end = offset + get_n_sectors (c->luks);

  if (offset < QCOW2_LUKS_ALIGNMENT)
    {
      ADD_SLOT (
          CRYPT_13_HEADER, i, key_material_offset,
          "key slot %u: key_material_offset %u is inside the header, which "
          "has %u sectors",
          i, offset, QCOW2_LUKS_ALIGNMENT);
      return FALSE;
    }
  if (get_qemu_end (c->luks, slot) > payload)
    {
      ADD_SLOT (
          CRYPT_13_PAYLOAD, i, key_material_offset,
          "key slot %u: the key material ends at sector " QCOW2_U64_FORMAT
          ", after payload_offset %u",
          i, end, payload);
      return FALSE;
    }
  if (start > c->length || get_material_size (c->luks) > c->length - start)
    check_outside (c, i);
  else if (end > payload)
    ADD_SLOT (CRYPT_13_WRAP, i, key_material_offset,
              "key slot %u: the key material ends at sector " QCOW2_U64_FORMAT
              ", after payload_offset %u",
              i, end, payload);
  return TRUE;
}

/* Checks whether the key material of two slots overlaps.  Like QEMU, compares
 * a slot that HAS_PLACE with all later ones, wherever these are. */
static void
check_overlaps (const Context *c, const gboolean *has_place)
{
  const Qcow2LuksSlot *slots = c->luks->slots;

  for (guint a = 0; a < QCOW2_LUKS_N_SLOTS; a++)
    for (guint b = a + 1; b < QCOW2_LUKS_N_SLOTS; b++)
      {
        if (has_place[a]
            && get_qemu_end (c->luks, &slots[a]) > slots[b].key_material_offset
            && get_qemu_end (c->luks, &slots[b])
                   > slots[a].key_material_offset)
          ADD_SLOT (
              CRYPT_14, b, key_material_offset,
              "key slot %u: the key material at sector %u overlaps that of "
              "slot %u at sector %u",
              b, slots[b].key_material_offset, a,
              slots[a].key_material_offset);
      }
}

/* Returns whether the key material of SLOT ends at or before END, in bytes
 * from the start of the header. */
static gboolean
ends_before (const Context *c, const Qcow2LuksSlot *slot, guint64 end)
{
  const guint64 start
      = (guint64) slot->key_material_offset * QCOW2_LUKS_SECTOR;

  return start <= end && get_material_size (c->luks) <= end - start;
}

/* Checks active slots whose key material the file truncates.  QEMU reads
 * zeroes for the missing bytes, so that such a slot cannot unlock the image.
 */
static void
check_file_end (const Context *c)
{
  const guint64 left = c->file_size - MIN (c->offset, c->file_size);
  gboolean has_whole = FALSE;

  for (guint i = 0; i < QCOW2_LUKS_N_SLOTS; i++)
    has_whole
        = has_whole
          || (is_active (&c->luks->slots[i])
              && ends_before (c, &c->luks->slots[i], MIN (left, c->length)));

  for (guint i = 0; i < QCOW2_LUKS_N_SLOTS; i++)
    {
      const Qcow2LuksSlot *slot = &c->luks->slots[i];

      if (!is_active (slot) || !ends_before (c, slot, c->length)
          || ends_before (c, slot, left))
        continue;
      if (has_whole)
        ADD_SLOT (
            CRYPT_16_SOME, i, key_material_offset,
            "key slot %u: the key material does not end in the file, which "
            "has " QCOW2_U64_FORMAT " bytes",
            i, c->file_size);
      else
        ADD_SLOT (
            CRYPT_16_ALL, i, key_material_offset,
            "key slot %u: the key material does not end in the file, which "
            "has " QCOW2_U64_FORMAT " bytes, and no other active slot's does",
            i, c->file_size);
    }
}

static void
check_slots (const Context *c, gboolean knows_size)
{
  gboolean has_place[QCOW2_LUKS_N_SLOTS];

  for (guint i = 0; i < QCOW2_LUKS_N_SLOTS; i++)
    {
      check_slot (c, i);
      has_place[i] = knows_size && check_place (c, i);
    }
  check_overlaps (c, has_place);
  if (knows_size)
    check_file_end (c);
  if (get_first_active (c->luks) == QCOW2_LUKS_N_SLOTS)
    ADD_SLOT (CRYPT_15, 0, active, "no key slot is active");
}

static void
check_header (Context *c)
{
  if (memcmp (c->luks->magic, luks_magic, sizeof luks_magic) != 0)
    {
      ADD (CRYPT_01, magic, "there is no LUKS header here");
      return;
    }
  if (c->luks->version != LUKS_VERSION)
    {
      ADD (CRYPT_02, version, "LUKS version %u is not %u", c->luks->version,
           LUKS_VERSION);
      return;
    }

  check_cipher (c);
  check_mode (c);
  check_hash (c);
  check_numbers (c);
  check_slots (c, check_key_bytes (c));
}

/* Reads the LUKS header that EXTENSION points to from SOURCE, checks it and
 * adds findings to FINDINGS.  qcow2_luks_is_located () must be TRUE for
 * EXTENSION.  Fails only with QCOW2_ERROR_READ. */
gboolean
qcow2_luks_check (const Qcow2Extension *extension, ByteSource *source,
                  Qcow2Findings *findings, GError **error)
{
  Qcow2Luks luks;

  if (!qcow2_luks_read (source, extension->crypto.crypto_header_offset, &luks,
                        error))
    return FALSE;

  Context context = { .luks = &luks,
                      .offset = extension->crypto.crypto_header_offset,
                      .length = extension->crypto.crypto_header_length,
                      .file_size = byte_source_get_size (source),
                      .findings = findings,
                      .subject = { .parts = QCOW2_PART_EXTENSIONS,
                                   .structure = qcow2_luks_record.name,
                                   .extension = extension->index,
                                   .bitmap = QCOW2_NO_INDEX } };

  check_header (&context);
  return TRUE;
}

typedef struct
{
  const Qcow2Image *image;
  Qcow2Findings *findings;
} Extensions;

/* A Qcow2ExtensionFunc. */
static gboolean
check_extension (const Qcow2Extension *extension, gpointer data,
                 GError **error)
{
  const Extensions *extensions = data;
  const Qcow2Image *image = extensions->image;

  return !qcow2_luks_is_located (extension, &image->header)
         || qcow2_luks_check (extension, image->source, extensions->findings,
                              error);
}

/* Checks each LUKS header that an extension of IMAGE points to, since QEMU
 * reads all of them, and adds findings to FINDINGS.  Walks the extensions only
 * if IMAGE is encrypted with LUKS.  Fails only with QCOW2_ERROR_READ. */
gboolean
qcow2_luks_check_all (const Qcow2Image *image, Qcow2Findings *findings,
                      GError **error)
{
  Extensions extensions = { .image = image, .findings = findings };

  if (image->header.crypt_method != QCOW2_CRYPT_LUKS || !image->has_crypto)
    return TRUE;

  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (image->source, &image->header);
  return qcow2_extension_walk_each (walk, check_extension, &extensions, error);
}
