#include "data/npz.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <zlib.h>

#include "support/atomic_file.h"
#include "support/checked.h"
#include "support/cursor.h"
#include "support/mapped_file.h"

namespace thimble::data {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kCentralHeader = 0x02014b50;
constexpr std::uint32_t kEndOfDirectory = 0x06054b50;
constexpr std::size_t kEndSize = 22;
constexpr std::size_t kMaxMembers = 65535;

struct Member {
  std::string name;
  std::uint16_t method = 0;
  std::uint32_t crc = 0;
  std::uint64_t packed = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
};

// The end record is the last thing in the file but for a comment of at most 64 KiB.
Expected<Cursor> find_directory(std::span<const std::byte> bytes, std::uint16_t& count) {
  const std::size_t limit = std::min<std::size_t>(bytes.size(), kEndSize + 65535);
  for (std::size_t back = kEndSize; back <= limit; ++back) {
    Cursor end(bytes.subspan(bytes.size() - back), bytes.size() - back);
    if (*end.read<std::uint32_t>() != kEndOfDirectory) continue;
    THIMBLE_TRY(end.skip(6));
    THIMBLE_ASSIGN(count, end.read<std::uint16_t>());
    THIMBLE_ASSIGN(const auto size, end.read<std::uint32_t>());
    THIMBLE_ASSIGN(const auto offset, end.read<std::uint32_t>());
    if (!range_inside(offset, size, bytes.size()))
      return invalid_file("the ZIP directory lies outside the file");
    return Cursor(bytes.subspan(offset, size), offset);
  }
  return invalid_file("not a ZIP archive: no end record");
}

Expected<Member> read_entry(Cursor& directory) {
  THIMBLE_ASSIGN(const auto signature, directory.read<std::uint32_t>());
  if (signature != kCentralHeader)
    return invalid_file("a ZIP directory entry is damaged").at_offset(directory.offset());
  Member member;
  THIMBLE_TRY(directory.skip(4));
  THIMBLE_ASSIGN(const auto flags, directory.read<std::uint16_t>());
  THIMBLE_ASSIGN(member.method, directory.read<std::uint16_t>());
  THIMBLE_TRY(directory.skip(4));
  THIMBLE_ASSIGN(member.crc, directory.read<std::uint32_t>());
  THIMBLE_ASSIGN(member.packed, directory.read<std::uint32_t>());
  THIMBLE_ASSIGN(member.size, directory.read<std::uint32_t>());
  THIMBLE_ASSIGN(const auto name_size, directory.read<std::uint16_t>());
  THIMBLE_ASSIGN(const auto extra_size, directory.read<std::uint16_t>());
  THIMBLE_ASSIGN(const auto comment_size, directory.read<std::uint16_t>());
  THIMBLE_TRY(directory.skip(8));
  THIMBLE_ASSIGN(member.offset, directory.read<std::uint32_t>());
  THIMBLE_ASSIGN(const auto name, directory.read_text(name_size));
  member.name = std::string(name);
  THIMBLE_TRY(directory.skip(extra_size));
  THIMBLE_TRY(directory.skip(comment_size));
  if ((flags & 1) != 0) return unsupported("encrypted ZIP members are not read");
  if (member.size == 0xffffffffu || member.packed == 0xffffffffu || member.offset == 0xffffffffu) {
    return unsupported("ZIP64 archives are not read").fix("save the arrays in several files");
  }
  return member;
}

Status inflate_into(std::span<const std::byte> packed, std::span<std::byte> out) {
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
    return Error(ErrorCode::kResource, "zlib could not start");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = inflate(&stream, Z_FINISH);
  const bool whole = result == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  if (!whole) return invalid_file("a compressed member is damaged");
  return ok();
}

Expected<std::vector<std::byte>> extract(std::span<const std::byte> file, const Member& member) {
  if (member.offset > file.size()) return invalid_file("a member lies outside the file");
  Cursor local(file.subspan(member.offset), member.offset);
  THIMBLE_ASSIGN(const auto signature, local.read<std::uint32_t>());
  if (signature != kLocalHeader)
    return invalid_file("a member's header is damaged").at_offset(member.offset);
  THIMBLE_TRY(local.skip(22));
  THIMBLE_ASSIGN(const auto name_size, local.read<std::uint16_t>());
  THIMBLE_ASSIGN(const auto extra_size, local.read<std::uint16_t>());
  THIMBLE_TRY(local.skip(std::uint64_t{name_size} + extra_size));
  THIMBLE_ASSIGN(const auto packed, local.read_bytes(member.packed));
  // Deflate reaches at most about 1032:1, so a larger claim is a lie.
  if (member.size / 1040 > member.packed) return invalid_file("a member claims an impossible size");
  std::vector<std::byte> out(member.size);
  if (member.method == 0) {
    if (member.packed != member.size) return invalid_file("a stored member has two sizes");
    std::copy(packed.begin(), packed.end(), out.begin());
  } else if (member.method == Z_DEFLATED) {
    THIMBLE_TRY(inflate_into(packed, out));
  } else {
    return unsupported("ZIP method " + std::to_string(member.method) + " is not read");
  }
  const auto crc =
      crc32(0, reinterpret_cast<const Bytef*>(out.data()), static_cast<uInt>(out.size()));
  if (crc != member.crc) return invalid_file("a member's checksum is wrong");
  return out;
}

// The value of `'key':` in the header's Python dictionary, up to the next ',' outside brackets.
std::string_view header_value(std::string_view header, std::string_view key) {
  const auto at = header.find("'" + std::string(key) + "'");
  if (at == std::string_view::npos) return {};
  auto begin = header.find(':', at);
  if (begin == std::string_view::npos) return {};
  begin = header.find_first_not_of(' ', begin + 1);
  if (begin == std::string_view::npos) return {};
  if (header[begin] == '(') return header.substr(begin, header.find(')', begin) - begin + 1);
  return header.substr(begin, header.find_first_of(",}", begin) - begin);
}

Expected<std::vector<std::int64_t>> parse_shape(std::string_view text) {
  if (text.size() < 2 || text.front() != '(' || text.back() != ')')
    return invalid_file("an .npy header has no shape");
  std::vector<std::int64_t> dims;
  const char* at = text.data() + 1;
  const char* const end = text.data() + text.size() - 1;
  while (at < end) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    std::int64_t dim = 0;
    const auto [next, error] = std::from_chars(at, end, dim);
    if (error != std::errc() || dim < 0) return invalid_file("an .npy header has a damaged shape");
    dims.push_back(dim);
    at = next;
  }
  if (dims.size() > 8) return unsupported("arrays have at most 8 dimensions");
  return dims;
}

Expected<Array> parse_npy(std::vector<std::byte> bytes) {
  Cursor cursor(bytes);
  THIMBLE_ASSIGN(const auto magic, cursor.read_text(6));
  if (magic != "\x93NUMPY") return invalid_file("not an .npy array");
  THIMBLE_ASSIGN(const auto major, cursor.read<std::uint8_t>());
  THIMBLE_TRY(cursor.skip(1));
  std::uint64_t length = 0;
  if (major == 1) {
    THIMBLE_ASSIGN(length, cursor.read<std::uint16_t>());
  } else {
    THIMBLE_ASSIGN(length, cursor.read<std::uint32_t>());
  }
  THIMBLE_ASSIGN(const auto header, cursor.read_text(length));
  Array array;
  const std::string_view descr = header_value(header, "descr");
  if (descr.size() < 4) return invalid_file("an .npy header has no element type");
  array.descr = std::string(descr.substr(1, descr.size() - 2));
  if (descr_bytes(array.descr) == 0)
    return unsupported("element type " + array.descr + " is not read");
  if (header_value(header, "fortran_order") != "False")
    return unsupported("arrays in Fortran order are not read")
        .fix("save numpy.ascontiguousarray(x)");
  THIMBLE_ASSIGN(array.dims, parse_shape(header_value(header, "shape")));
  auto size = std::optional<std::uint64_t>(static_cast<std::uint64_t>(descr_bytes(array.descr)));
  for (const std::int64_t dim : array.dims)
    size = size ? checked_mul<std::uint64_t>(*size, static_cast<std::uint64_t>(dim)) : size;
  if (!size || *size != cursor.remaining())
    return invalid_file("an array's size is not what its shape says");
  array.bytes.assign(bytes.end() - static_cast<std::ptrdiff_t>(*size), bytes.end());
  return array;
}

std::string npy_header(const Array& array) {
  std::string shape = "(";
  for (const std::int64_t dim : array.dims) shape += std::to_string(dim) + ",";
  std::string header =
      "{'descr': '" + array.descr + "', 'fortran_order': False, 'shape': " + shape + "), }";
  constexpr std::size_t kPrefix = 10;
  header.resize(round_up<std::size_t>(kPrefix + header.size() + 1, 64) - kPrefix, ' ');
  header.back() = '\n';
  const auto length = static_cast<std::uint16_t>(header.size());
  std::string out = "\x93NUMPY";
  out += {'\x01', '\x00', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  return out + header;
}

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// The fields that a local header and a directory entry share.
void put_common(std::string& out, const Member& member) {
  put<std::uint16_t>(out, 0);           // flags
  put<std::uint16_t>(out, 0);           // stored
  put<std::uint32_t>(out, 0x00210000);  // 1 January 1980: no times in what we write
  put<std::uint32_t>(out, member.crc);
  put<std::uint32_t>(out, static_cast<std::uint32_t>(member.size));
  put<std::uint32_t>(out, static_cast<std::uint32_t>(member.size));
  put<std::uint16_t>(out, static_cast<std::uint16_t>(member.name.size()));
  put<std::uint16_t>(out, 0);
}

Expected<Member> write_member(AtomicFile& file, const Array& array) {
  const std::string header = npy_header(array);
  Member member;
  member.name = array.name + ".npy";
  member.size = header.size() + array.bytes.size();
  member.offset = file.size();
  if (member.offset + member.size > 0xfffffffeull) return unsupported("an .npz of more than 4 GB");
  auto crc =
      crc32(0, reinterpret_cast<const Bytef*>(header.data()), static_cast<uInt>(header.size()));
  // zlib takes no bytes at a null address for a wish to start afresh.
  if (!array.bytes.empty()) {
    crc = crc32(crc, reinterpret_cast<const Bytef*>(array.bytes.data()),
                static_cast<uInt>(array.bytes.size()));
  }
  member.crc = static_cast<std::uint32_t>(crc);
  std::string local;
  put(local, kLocalHeader);
  put<std::uint16_t>(local, 20);
  put_common(local, member);
  THIMBLE_TRY(file.append(local + member.name + header));
  THIMBLE_TRY(file.append(std::span<const std::byte>(array.bytes)));
  return member;
}

std::string directory_entry(const Member& member) {
  std::string out;
  put(out, kCentralHeader);
  put<std::uint16_t>(out, 20);
  put<std::uint16_t>(out, 20);
  put_common(out, member);
  put<std::uint16_t>(out, 0);  // comment
  put<std::uint16_t>(out, 0);  // disk
  put<std::uint16_t>(out, 0);  // attributes
  put<std::uint32_t>(out, 0);
  put<std::uint32_t>(out, static_cast<std::uint32_t>(member.offset));
  return out + member.name;
}

}  // namespace

std::int64_t Array::count() const {
  std::int64_t n = 1;
  for (const std::int64_t dim : dims) n *= dim;
  return n;
}

int descr_bytes(std::string_view descr) {
  static constexpr std::pair<std::string_view, int> kTypes[] = {
      {"<f4", 4}, {"<f8", 8}, {"<f2", 2}, {"<i8", 8}, {"<i4", 4}, {"<i2", 2}, {"|i1", 1},
      {"|u1", 1}, {"|b1", 1}, {"<u2", 2}, {"<u4", 4}, {"<u8", 8}, {"<V2", 2}};
  for (const auto& [name, bytes] : kTypes) {
    if (descr == name) return bytes;
  }
  return 0;
}

const Array* find(const std::vector<Array>& arrays, std::string_view name) {
  const auto at =
      std::find_if(arrays.begin(), arrays.end(), [&](const Array& a) { return a.name == name; });
  return at == arrays.end() ? nullptr : &*at;
}

Expected<std::vector<Array>> read_npz(const std::string& path, std::uint64_t max_bytes) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  std::uint16_t count = 0;
  auto directory = find_directory(file->bytes(), count);
  if (!directory) return std::move(directory).error().in(path);
  std::vector<Array> arrays;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(count, kMaxMembers); ++i) {
    auto member = read_entry(*directory);
    if (!member) return std::move(member).error().in(path);
    total += member->size;
    if (total > max_bytes) return Error(ErrorCode::kResource, "the arrays are too large").in(path);
    auto bytes = extract(file->bytes(), *member);
    if (!bytes) return std::move(bytes).error().at_tensor(member->name).in(path);
    auto array = parse_npy(std::move(*bytes));
    if (!array) return std::move(array).error().at_tensor(member->name).in(path);
    array->name = member->name.ends_with(".npy") ? member->name.substr(0, member->name.size() - 4)
                                                 : member->name;
    arrays.push_back(std::move(*array));
  }
  return arrays;
}

Status write_npz(const std::string& path, const std::vector<Array>& arrays) {
  THIMBLE_ASSIGN(const auto file, AtomicFile::create(path));
  std::string directory;
  for (const Array& array : arrays) {
    THIMBLE_ASSIGN(const Member member, write_member(*file, array));
    directory += directory_entry(member);
  }
  const std::uint64_t offset = file->size();
  put(directory, kEndOfDirectory);
  put<std::uint32_t>(directory, 0);
  put<std::uint16_t>(directory, static_cast<std::uint16_t>(arrays.size()));
  put<std::uint16_t>(directory, static_cast<std::uint16_t>(arrays.size()));
  put<std::uint32_t>(directory, static_cast<std::uint32_t>(directory.size() - 12));
  put<std::uint32_t>(directory, static_cast<std::uint32_t>(offset));
  put<std::uint16_t>(directory, 0);
  THIMBLE_TRY(file->append(directory));
  return file->commit();
}

}  // namespace thimble::data
