/* gRiTOS: the contract between kernel and user space, for C.
 *
 * Generated from the crate gritos-abi by `cargo xtask codegen`; do not edit.
 * docs/reference/abi.md is the normative text. */
#ifndef GRITOS_H
#define GRITOS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
