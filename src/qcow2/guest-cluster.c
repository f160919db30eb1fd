/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/guest-cluster.h"

static gboolean
has_feature (const Qcow2Header *header, guint64 feature)
{
  return (header->incompatible_features & feature) != 0;
}

/* Returns the flags of what has no data in an image with HEADER. */
static guint
get_unallocated_flags (const Qcow2Header *header)
{
  const gboolean has_backing_file
      = header->backing_file_offset != 0 && header->backing_file_size != 0;

  return has_backing_file ? 0 : QCOW2_MAP_ZERO;
}

/* Returns an extent without a range that is not in an image with HEADER. */
Qcow2MapExtent
qcow2_guest_cluster_get_unallocated (const Qcow2Header *header)
{
  return (Qcow2MapExtent){ .flags = get_unallocated_flags (header) };
}

/* Returns a damaged extent without a range.  OFFSET is the wrong host offset
 * or 0, and POINTER is the host offset of the damaged entry. */
Qcow2MapExtent
qcow2_guest_cluster_get_damage (Qcow2MapDamage damage, guint64 offset,
                                guint64 pointer)
{
  return (Qcow2MapExtent){ .flags = QCOW2_MAP_PRESENT | QCOW2_MAP_DATA,
                           .offset = offset,
                           .damage = damage,
                           .pointer = pointer };
}

static gboolean
is_outside (const Qcow2Image *image, const Qcow2Mapping *mapping)
{
  return qcow2_mapping_is_outside (mapping, &image->header,
                                   byte_source_get_size (image->source));
}

static Qcow2MapDamage
check_compressed (const Qcow2Image *image, const Qcow2Mapping *mapping)
{
  if (has_feature (&image->header, QCOW2_INCOMPATIBLE_DATA_FILE))
    return QCOW2_MAP_NO_COMPRESSED;

  return is_outside (image, mapping) ? QCOW2_MAP_OUTSIDE : QCOW2_MAP_SOUND;
}

/* Returns the damage of the host cluster of MAPPING.  START is the guest
 * offset. */
static Qcow2MapDamage
check_host_cluster (const Qcow2Image *image, const Qcow2Mapping *mapping,
                    guint64 start)
{
  const Qcow2Header *h = &image->header;

  if (mapping->offset % h->cluster_size != 0)
    return QCOW2_MAP_UNALIGNED;
  if (!has_feature (h, QCOW2_INCOMPATIBLE_DATA_FILE))
    return is_outside (image, mapping) ? QCOW2_MAP_OUTSIDE : QCOW2_MAP_SOUND;

  /* The size of the data file is unknown. */
  return (h->autoclear_features & QCOW2_AUTOCLEAR_RAW_DATA) != 0
                 && mapping->offset != start
             ? QCOW2_MAP_NOT_RAW
             : QCOW2_MAP_SOUND;
}

/* Returns the damage of MAPPING, of the cluster at guest offset START. */
static Qcow2MapDamage
check_mapping (const Qcow2Image *image, const Qcow2Mapping *mapping,
               guint64 start)
{
  const guint32 allocated = qcow2_mapping_get_allocated (mapping);

  switch (mapping->type)
    {
    case QCOW2_CLUSTER_COMPRESSED:
      return check_compressed (image, mapping);
    case QCOW2_CLUSTER_UNALLOCATED:
      return allocated != 0 ? QCOW2_MAP_NO_CLUSTER : QCOW2_MAP_SOUND;
    case QCOW2_CLUSTER_ZERO:
    case QCOW2_CLUSTER_ZERO_ALLOCATED:
      if (image->header.version < 3)
        return QCOW2_MAP_ZERO_FLAG;
      return mapping->type == QCOW2_CLUSTER_ZERO
                 ? QCOW2_MAP_SOUND
                 : check_host_cluster (image, mapping, start);
    case QCOW2_CLUSTER_NORMAL:
      if ((allocated & qcow2_mapping_get_zeroes (mapping)) != 0)
        return QCOW2_MAP_SUBCLUSTERS;
      return check_host_cluster (image, mapping, start);
    }

  g_assert_not_reached ();
}

/* Returns the flags of a sound MAPPING without subclusters, except for
 * QCOW2_MAP_OFFSET. */
static guint
get_flags (const Qcow2Header *header, const Qcow2Mapping *mapping)
{
  switch (mapping->type)
    {
    case QCOW2_CLUSTER_UNALLOCATED:
      return get_unallocated_flags (header);
    case QCOW2_CLUSTER_ZERO:
    case QCOW2_CLUSTER_ZERO_ALLOCATED:
      return QCOW2_MAP_PRESENT | QCOW2_MAP_ZERO;
    case QCOW2_CLUSTER_NORMAL:
      return QCOW2_MAP_PRESENT | QCOW2_MAP_DATA;
    case QCOW2_CLUSTER_COMPRESSED:
      return QCOW2_MAP_PRESENT | QCOW2_MAP_DATA | QCOW2_MAP_COMPRESSED;
    }

  g_assert_not_reached ();
}

/* Returns the flags of subcluster I of a sound MAPPING, except for
 * QCOW2_MAP_OFFSET. */
static guint
get_subcluster_flags (const Qcow2Header *header, const Qcow2Mapping *mapping,
                      guint i)
{
  if ((qcow2_mapping_get_zeroes (mapping) >> i & 1) != 0)
    return QCOW2_MAP_PRESENT | QCOW2_MAP_ZERO;
  if ((qcow2_mapping_get_allocated (mapping) >> i & 1) != 0)
    return QCOW2_MAP_PRESENT | QCOW2_MAP_DATA;

  return get_unallocated_flags (header);
}

/* Stores an extent for each run of equal subclusters of a sound MAPPING in
 * EXTENTS, and returns their number.  WHOLE is an extent for all of the
 * cluster. */
static guint
split_cluster (const Qcow2Header *header, const Qcow2Mapping *mapping,
               const Qcow2MapExtent *whole, Qcow2MapExtent *extents)
{
  const guint64 size = header->cluster_size / QCOW2_N_SUBCLUSTERS;
  guint n = 0;

  for (guint i = 0; i < QCOW2_N_SUBCLUSTERS; i++)
    {
      const guint flags = get_subcluster_flags (header, mapping, i)
                          | (whole->flags & QCOW2_MAP_OFFSET);

      if (n > 0 && extents[n - 1].flags == flags)
        {
          extents[n - 1].length += size;
          continue;
        }

      extents[n] = *whole;
      extents[n].start += i * size;
      extents[n].length = size;
      extents[n].flags = flags;
      extents[n].offset += i * size;
      n++;
    }

  return n;
}

/* Stores the extents of guest cluster CLUSTER of IMAGE in EXTENTS, which has
 * room for QCOW2_N_SUBCLUSTERS, and returns their number.  The L2 entry of the
 * cluster is at BYTES, and at host offset POINTER.  The last cluster may
 * exceed the disk, but not 2^64 bytes. */
guint
qcow2_guest_cluster_describe (const Qcow2Image *image, guint64 cluster,
                              const guint8 *bytes, guint64 pointer,
                              Qcow2MapExtent *extents)
{
  const Qcow2Header *h = &image->header;
  const guint64 start = cluster * h->cluster_size;
  Qcow2Mapping mapping;

  qcow2_l2_decode (h, bytes, &mapping);

  const Qcow2MapDamage damage = check_mapping (image, &mapping, start);
  if (damage != QCOW2_MAP_SOUND)
    {
      extents[0]
          = qcow2_guest_cluster_get_damage (damage, mapping.offset, pointer);
      extents[0].start = start;
      extents[0].length = h->cluster_size;
      return 1;
    }

  /* QEMU does not tell the offset of encrypted data, either. */
  const gboolean has_offset = mapping.length > 0 && h->crypt_method == 0
                              && mapping.type != QCOW2_CLUSTER_COMPRESSED;
  extents[0]
      = (Qcow2MapExtent){ .start = start,
                          .length = h->cluster_size,
                          .flags = get_flags (h, &mapping)
                                   | (has_offset ? QCOW2_MAP_OFFSET : 0),
                          .offset = has_offset ? mapping.offset : 0 };

  if (!has_feature (h, QCOW2_INCOMPATIBLE_EXTENDED_L2)
      || mapping.type == QCOW2_CLUSTER_COMPRESSED)
    return 1;

  const Qcow2MapExtent whole = extents[0];
  return split_cluster (h, &mapping, &whole, extents);
}
