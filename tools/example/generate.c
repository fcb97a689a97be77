/* Continues a prompt:  generate MODEL.thimble "Once upon a time" 40
 * Links with libthimble-runtime.a alone: no other part of Thimble ships to a device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "thimble/runtime.h"

static int fail(void) {
  fprintf(stderr, "%s\n", thimble_last_error());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s MODEL.thimble PROMPT TOKENS\n", argv[0]);
    return 2;
  }
  thimble_model* model = NULL;
  if (thimble_load(argv[1], NULL, &model) != THIMBLE_OK) return fail();

  /* A token is at least one byte of text, but for those that the tokenizer puts around it. */
  const size_t capacity = strlen(argv[2]) + 16;
  const size_t wanted = (size_t)strtoul(argv[3], NULL, 10);
  int32_t* ids = malloc((capacity + wanted) * sizeof *ids);
  if (ids == NULL) return 1;
  size_t prompt = 0;
  if (thimble_tokenize(model, argv[2], 1, ids, capacity, &prompt) != THIMBLE_OK) return fail();
  if (prompt > capacity) prompt = capacity;

  /* The prompt goes in at once, then one token after the other. */
  size_t count = prompt;
  size_t fed = 0;
  while (count < prompt + wanted) {
    if (thimble_feed(model, ids + fed, count - fed, NULL, NULL) != THIMBLE_OK) return fail();
    fed = count;
    if (thimble_sample(model, NULL, &ids[count]) != THIMBLE_OK) return fail();
    if (thimble_is_end(model, ids[count])) break;
    ++count;
  }

  const char* text = NULL;
  if (thimble_detokenize(model, ids, count, &text) != THIMBLE_OK) return fail();
  printf("%s\n", text);
  free(ids);
  thimble_free(model);
  return 0;
}
