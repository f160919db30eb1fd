/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/percent.h"

/* Number of bits in the mantissa of an IEEE 754 double. */
#define MANTISSA_BITS 53

/* Number of fractional bits of a quotient that are computed before it is
 * rounded. */
#define QUOTIENT_BITS 60

/* MANTISSA * 2^EXPONENT, where MANTISSA has at most MANTISSA_BITS bits. */
typedef struct
{
  guint64 mantissa;
  int exponent;
} Number;

/* Returns the double nearest to NUMBER * 2^EXPONENT; a tie goes to the even
 * mantissa.  MORE says that the exact value is slightly greater. */
static Number
round_to_double (guint64 number, int exponent, gboolean more)
{
  guint shift = 0;

  while (number >> shift >> MANTISSA_BITS != 0)
    shift++;
  if (shift == 0)
    return (Number){ number, exponent };

  const guint64 half = (guint64) 1 << (shift - 1);
  const guint64 rest = number & (2 * half - 1);
  guint64 mantissa = number >> shift;

  if (rest > half || (rest == half && (more || mantissa % 2 == 1)))
    mantissa++;

  /* Rounding up to a power of two makes the mantissa one bit too long. */
  exponent += (int) shift;
  return mantissa >> MANTISSA_BITS != 0
             ? (Number){ mantissa / 2, exponent + 1 }
             : (Number){ mantissa, exponent };
}

/* Shifts the mantissa of NUMBER, not 0, until its highest bit is 1. */
static void
normalize (Number *number)
{
  while (number->mantissa >> (MANTISSA_BITS - 1) == 0)
    {
      number->mantissa *= 2;
      number->exponent--;
    }
}

static Number
divide (Number dividend, Number divisor)
{
  normalize (&dividend);
  normalize (&divisor);

  guint64 quotient = dividend.mantissa / divisor.mantissa;
  guint64 rest = dividend.mantissa % divisor.mantissa;

  for (guint i = 0; i < QUOTIENT_BITS; i++)
    {
      quotient = 2 * quotient + (2 * rest >= divisor.mantissa);
      rest = 2 * rest % divisor.mantissa;
    }

  return round_to_double (quotient,
                          dividend.exponent - divisor.exponent - QUOTIENT_BITS,
                          rest != 0);
}

/* Returns PART as a percentage of WHOLE: 100.0 * PART / WHOLE with each step
 * rounded to a double, as nbdinfo prints it on most machines.  The x87 unit of
 * i386 keeps more bits between the steps, which occasionally changes a digit,
 * so the steps are computed in integers.  WHOLE must be neither 0 nor less
 * than PART. */
double
percent_of (guint64 part, guint64 whole)
{
  if (part == 0)
    return 0;

  const Number rounded = round_to_double (part, 0, FALSE);
  const Number hundredfold
      = round_to_double (100 * rounded.mantissa, rounded.exponent, FALSE);
  const Number percent
      = divide (hundredfold, round_to_double (whole, 0, FALSE));

  /* Halving is exact.  The exponent is negative because the result is at most
   * 100. */
  double value = (double) percent.mantissa;
  for (int i = percent.exponent; i < 0; i++)
    value /= 2;
  return value;
}
