/* The device library's C interface: load a .thimble file, generate text, run tensors.
 *
 * Link with libthimble-runtime.a, -lstdc++, -lpthread and -lm; with CMake, find_package(thimble)
 * and thimble::runtime do. Functions that can fail return a code; its message is
 * thimble_last_error() of the same thread. Handles are independent of each other; one handle is
 * used by one thread at a time. Counts are in elements, sizes in bytes. Pointers that a function
 * hands out stay valid until the next call on the same handle, unless it says otherwise. */
#ifndef THIMBLE_RUNTIME_H
#define THIMBLE_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define THIMBLE_API_VERSION 2

typedef enum {
  THIMBLE_OK = 0,
  THIMBLE_INVALID_FILE = 1,     /* the file breaks its format's rules */
  THIMBLE_UNSUPPORTED = 2,      /* well-formed, but not something that this build can do */
  THIMBLE_INVALID_ARGUMENT = 3, /* an input that the model can't take */
  THIMBLE_NOT_FOUND = 4,
  THIMBLE_IO = 5,
  THIMBLE_RESOURCE = 6,   /* memory */
  THIMBLE_INTERRUPTED = 7 /* thimble_stop, or an interrupt of the process */
} thimble_code;

/* ONNX's numbers. */
typedef enum {
  THIMBLE_F32 = 1,
  THIMBLE_U8 = 2,
  THIMBLE_I8 = 3,
  THIMBLE_I32 = 6,
  THIMBLE_I64 = 7,
  THIMBLE_BOOL = 9,
  THIMBLE_F16 = 10,
  THIMBLE_F64 = 11,
  THIMBLE_BF16 = 16
} thimble_type;

typedef enum {
  THIMBLE_CACHE_F32 = 0,
  THIMBLE_CACHE_F16 = 1,
  THIMBLE_CACHE_INT8 = 2,
  THIMBLE_CACHE_INT4 = 3,
  THIMBLE_CACHE_FROM_FILE = -1
} thimble_cache;

typedef struct thimble_model thimble_model;

typedef struct {
  int threads;         /* 0: as many as this process may use */
  int64_t max_context; /* positions that caches are made for; 0: the file's */
  int cache;           /* a thimble_cache: of keys, and of values unless those differ */
  int value_cache;     /* a thimble_cache of values; THIMBLE_CACHE_FROM_FILE: as said by `cache` */
  int float_activations; /* not 0: every product in f32 on decoded weights */
} thimble_options;

typedef struct {
  float temperature;        /* 0: the likeliest token */
  int64_t top_k;            /* 0: all */
  float top_p;              /* 1: all */
  float min_p;              /* 0: all */
  float repetition_penalty; /* 1: none */
  uint64_t seed;
} thimble_sampling;

#define THIMBLE_MAX_RANK 8
typedef struct {
  int type; /* a thimble_type */
  int rank;
  int64_t dims[THIMBLE_MAX_RANK];
  const void* data; /* row-major */
} thimble_tensor;

const char* thimble_version(void);     /* "0.1.0" */
uint32_t thimble_format_version(void); /* of the files that it reads */
const char* thimble_last_error(void);  /* of this thread's last failure; never null */

/* Options and sampling that change nothing; fill them in from here. */
thimble_options thimble_default_options(void);
thimble_sampling thimble_default_sampling(void);

/* `options` may be null. The file must stay unchanged while the model lives. */
thimble_code thimble_load(const char* path, const thimble_options* options, thimble_model** model);
/* The same from a whole file in memory, an app's asset for example. It begins at a multiple of 64
 * bytes, is used where it lies, and must stay there unchanged while the model lives. */
thimble_code thimble_load_memory(const void* file, size_t size, const thimble_options* options,
                                 thimble_model** model);
void thimble_free(thimble_model* model); /* null is fine */

/* What the model takes, in bytes. Weights are the file's own pages; activations are those of the
 * largest run so far. */
typedef struct {
  uint64_t weights, caches, activations;
} thimble_memory;
thimble_memory thimble_memory_use(const thimble_model* model);

/* What a key of the file's metadata says; null when it isn't there. Valid as long as the model. */
const char* thimble_metadata(const thimble_model* model, const char* key);

/* Text to token ids and back. At most `capacity` ids are stored; `count` is how many there are. */
thimble_code thimble_tokenize(thimble_model* model, const char* text, int add_special, int32_t* ids,
                              size_t capacity, size_t* count);
thimble_code thimble_detokenize(thimble_model* model, const int32_t* ids, size_t count,
                                const char** text);

/* Feeds tokens after those fed before; `logits` [vocabulary] are those after the last one. A prompt
 * and a single decoded token go the same way. */
thimble_code thimble_feed(thimble_model* model, const int32_t* ids, size_t count,
                          const float** logits, size_t* vocabulary);
/* Picks a token of the last logits. The repetition penalty counts the tokens fed so far, the
 * prompt's too. A new seed or option begins anew. */
thimble_code thimble_sample(thimble_model* model, const thimble_sampling* sampling, int32_t* id);
/* Is it a token that ends the text? */
int thimble_is_end(const thimble_model* model, int32_t id);
int64_t thimble_position(const thimble_model* model); /* tokens fed so far */
thimble_code thimble_rewind(thimble_model* model,
                            int64_t position); /* forget what was fed from there on */
void thimble_reset(thimble_model* model);

/* Tensors by the names of the graph's inputs and outputs. Every input is set before each run; its
 * data is read during the run. */
size_t thimble_input_count(const thimble_model* model);
size_t thimble_output_count(const thimble_model* model);
const char* thimble_input_name(const thimble_model* model, size_t index); /* null past the end */
const char* thimble_output_name(const thimble_model* model, size_t index);
thimble_code thimble_set_input(thimble_model* model, const char* name,
                               const thimble_tensor* tensor);
thimble_code thimble_run(thimble_model* model);
/* Ends what thimble_run or thimble_feed is doing in another thread, or its next call, with
 * THIMBLE_INTERRUPTED; what was fed before stays. A signal handler may call it: a file may say a
 * loop without end, and this is how to give it a time limit. */
void thimble_stop(thimble_model* model);
thimble_code thimble_get_output(thimble_model* model, const char* name, thimble_tensor* tensor);

#ifdef __cplusplus
}
#endif
#endif
