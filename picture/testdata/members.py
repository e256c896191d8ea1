#!/usr/bin/python3
"""Writes the folder members: images of many kinds, and what each must look like as PNG, as PIL reads it, turned as it
says and on white. Where PIL can't read a kind it is the picture that the file was made of, or another program's
reading.

Debian 12: python3-pil python3-numpy imagemagick libjpeg-turbo-progs webp libheif-examples libavif-bin
"""
import io, os, shutil, struct, subprocess, tempfile, zlib
import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

os.chdir(os.path.dirname(os.path.abspath(__file__)))
shutil.rmtree("members", ignore_errors=True)
os.mkdir("members")
work = tempfile.mkdtemp()
photo = Image.open("../../docs/images/cat.png").convert("RGB").crop((3, 5, 26, 22))  # 23×17: odd both ways
W, H = photo.size
photo.save(work + "/photo.png")
photo.save(work + "/photo.ppm")


def run(*words, **k):
    return subprocess.run([w.replace("@", work) for w in words], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, **k).stdout


def on_white(image, turn=True):
    if turn:
        image = ImageOps.exif_transpose(image)
    if image.mode in ("I;16", "I"):  # PIL clips these
        image = image.point(lambda v: v / 257).convert("L")
    if image.mode == "P" or "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        image = white
    return image.convert("RGB")


def keep(name, data, seen=None):
    """seen: a picture, or None for what PIL makes of the data."""
    with open("members/" + name, "wb") as f:
        f.write(data)
    if seen is None:
        seen = on_white(Image.open(io.BytesIO(data)))
    seen.save(f"members/{name}.expected.png", optimize=True)


def refused(name, data):
    """A file that is to be named as what it is; the test knows as what."""
    with open("members/refused-" + name, "wb") as f:
        f.write(data)


def saved(image, kind, **k):
    out = io.BytesIO()
    image.save(out, kind, **k)
    return out.getvalue()


# --- JPEG -------------------------------------------------------------------------------------------------------------
def cjpeg(*flags):
    return run("cjpeg", "-quality", "85", *flags, "@/photo.ppm")


for name, flags in {
    "444": ["-sample", "1x1"], "422": ["-sample", "2x1"], "440": ["-sample", "1x2"], "420": ["-sample", "2x2"],
    "411": ["-sample", "4x1"], "441": ["-sample", "1x4"], "410": ["-sample", "4x2"], "311": ["-sample", "3x1"],
    "odd": ["-sample", "2x2,1x1,1x2"], "odd-wide": ["-sample", "2x1,1x1,2x1"],
    "chroma-finer": ["-sample", "1x1,2x2,2x2"], "progressive": ["-progressive"], "arithmetic": ["-arithmetic"],
    "arithmetic-progressive": ["-arithmetic", "-progressive"],
    "grey": ["-grayscale"], "rgb": ["-rgb"], "restarts": ["-restart", "1B"],
}.items():
    keep(name + ".jpg", cjpeg(*flags))
plain = cjpeg("-sample", "2x2")
cmyk = saved(photo.convert("CMYK"), "JPEG", quality=85)
keep("cmyk.jpg", cmyk)
adobe = cmyk.index(b"\xff\xee")
keep("cmyk-without-adobe.jpg", cmyk[:adobe] + cmyk[adobe + 2 + struct.unpack(">H", cmyk[adobe + 2:adobe + 4])[0]:])
keep("ycck.jpg", run("convert-im6", "@/photo.png", "-colorspace", "CMYK", "-quality", "85", "jpg:-"))
keep("without-end.jpg", plain[:-2], on_white(Image.open(io.BytesIO(plain))))
keep("more-behind-end.jpg", plain + b"\xff\xd8 more")


def tiff(value, kind="H", order=">"):
    head = b"MM\0*" if order == ">" else b"II*\0"
    number = {"B": 1, "H": 3, "I": 4}[kind]
    entry = struct.pack(order + "HHI" + kind, 0x112, number, 1, value)
    other = struct.pack(order + "HHIHH", 0x10f, 3, 1, 7, 0)
    return head + struct.pack(order + "IH", 8, 2) + other + entry.ljust(12, b"\0") + b"\0\0\0\0"


def segment(body, marker=b"\xff\xe1"):
    return marker + struct.pack(">H", len(body) + 2) + body


XMP = (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
       b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" %s/></rdf:RDF></x:xmpmeta>')
xmp = XMP % b'tiff:Orientation="6"'
xmp_segment = segment(b"http://ns.adobe.com/xap/1.0/\0" + XMP % b"")


def as_told(data, value):
    image = Image.open(io.BytesIO(data))
    how = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
           5: Image.Transpose.TRANSPOSE,
           6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90}.get(value)
    image = on_white(image)
    return image.transpose(how) if how else image


def with_exif(exif, before=b"", marker=b"\xff\xe1"):
    return plain[:2] + before + segment(b"Exif\0\0" + exif, marker) + plain[2:]


for value in range(1, 9):
    keep(f"exif{value}.jpg", with_exif(tiff(value)))
keep("exif-little-endian.jpg", with_exif(tiff(8, order="<")))
keep("exif-long.jpg", with_exif(tiff(6, "I")), as_told(plain, 6))
keep("exif-byte.jpg", with_exif(tiff(6, "B")), as_told(plain, 6))
keep("exif-behind-fill.jpg", with_exif(tiff(6), marker=b"\xff\xff\xff\xff\xe1"), as_told(plain, 6))
keep("exif-behind-xmp.jpg", with_exif(tiff(6), before=xmp_segment), as_told(plain, 6))
keep("exif-no-number.jpg", with_exif(tiff(9)), as_told(plain, 1))
keep("xmp.jpg", plain[:2] + segment(b"http://ns.adobe.com/xap/1.0/\0" + xmp) + plain[2:], as_told(plain, 6))

frame = plain.index(b"\xff\xc0")


def with_frame(marker=0xc0, **change):
    b = bytearray(plain)
    b[frame + 1] = marker
    for at, value in change.items():
        b[frame + int(at[1:])] = value
    return bytes(b)


refused("twelve-bits.jpg", with_frame(0xc1, _4=12))
refused("lossless.jpg", with_frame(0xc3))
refused("lossless-arithmetic.jpg", with_frame(0xcb))
refused("hierarchical.jpg", with_frame(0xc5))
refused("jpeg-ls.jpg", with_frame(0xf7))
refused("height-later.jpg", with_frame(_5=0, _6=0))
refused("two-channels.jpg", with_frame(_9=2))
refused("fractional.jpg", with_frame(_11=0x32, _14=0x21))

# --- PNG --------------------------------------------------------------------------------------------------------------
alpha = photo.convert("RGBA")
alpha.putalpha(Image.linear_gradient("L").resize((W, H)))
few = photo.quantize(12)


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


png = saved(photo, "PNG")
end = png.index(b"IEND") - 4
keep("exif5.png", png[:33] + png_chunk(b"eXIf", tiff(5)) + png[33:])
keep("exif7-at-end.png", png[:end] + png_chunk(b"eXIf", tiff(7, "I")) + png[end:], as_told(png, 7))
keep("xmp.png", png[:33] + png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp) + png[33:], as_told(png, 6))
profile = b"\nexif\n%8d\n" % (len(tiff(8)) + 6) + (b"Exif\0\0" + tiff(8)).hex().encode() + b"\n"
keep("raw-profile.png", png[:33] + png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)) + png[33:],
     as_told(png, 8))
keep("alpha.png", saved(alpha, "PNG"))
keep("palette.png", saved(few, "PNG", transparency=3))
keep("grey-alpha.png", saved(alpha.convert("LA"), "PNG"))
keep("one-bit.png", saved(photo.convert("1"), "PNG"))
keep("sixteen-bits.png", run("convert-im6", "@/photo.png", "-depth", "16", "-define", "png:bit-depth=16",
                             "-define", "png:color-type=2", "png:-"))
keep("interlaced.png", run("convert-im6", "@/photo.png", "-interlace", "PNG", "png:-"))
keep("animated.png", saved(photo, "PNG", save_all=True, append_images=[photo.rotate(180)]))
refused("cgbi.png", png[:8] + png_chunk(b"CgBI", b"\x50\0\x20\x02") + png[8:])

# --- GIF --------------------------------------------------------------------------------------------------------------
gif = saved(few, "GIF")
keep("plain.gif", gif)
keep("animated.gif", saved(few, "GIF", save_all=True, append_images=[few.rotate(180)]),
     on_white(Image.open(io.BytesIO(gif))))
keep("transparent.gif", saved(few, "GIF", transparency=3))
keep("interlaced.gif", run("convert-im6", "@/photo.png", "-interlace", "GIF", "gif:-"))


def placed(canvas, at):
    b = bytearray(gif)
    struct.pack_into("<HH", b, 6, *canvas)
    struct.pack_into("<HH", b, b.index(b",\0\0\0\0", 13 + 3 * (2 << (b[10] & 7))) + 1, *at)
    return bytes(b)


keep("on-canvas.gif", placed((40, 30), (9, 4)))
keep("beyond-canvas.gif", placed((20, 30), (9, 4)))
keep("no-canvas.gif", placed((0, 0), (0, 0)))

# --- WebP -------------------------------------------------------------------------------------------------------------
alpha.save(work + "/alpha.png")
keep("lossy.webp", run("cwebp", "-quiet", "-q", "80", "@/photo.png", "-o", "-"))
keep("lossy-alpha.webp", run("cwebp", "-quiet", "-q", "80", "@/alpha.png", "-o", "-"))
keep("lossless-alpha.webp", run("cwebp", "-quiet", "-lossless", "@/alpha.png", "-o", "-"))
with open(work + "/plain.webp", "wb") as f:
    f.write(run("cwebp", "-quiet", "-lossless", "@/photo.png", "-o", "-"))
with open(work + "/exif", "wb") as f:
    f.write(tiff(3))
run("webpmux", "-set", "exif", "@/exif", "@/plain.webp", "-o", "@/exif.webp")
keep("exif3.webp", open(work + "/exif.webp", "rb").read())
with open(work + "/xmp", "wb") as f:
    f.write(xmp)
run("webpmux", "-set", "xmp", "@/xmp", "@/plain.webp", "-o", "@/xmp.webp")
keep("xmp.webp", open(work + "/xmp.webp", "rb").read(), as_told(png, 6))
photo.crop((4, 6, 15, 13)).save(work + "/part.png")
run("cwebp", "-quiet", "-lossless", "@/part.png", "-o", "@/part.webp")
run("webpmux", "-frame", "@/part.webp", "+100+4+6+0+b", "-frame", "@/plain.webp", "+100", "-o", "@/frames.webp")
seen = Image.new("RGB", (W, H), "white")
seen.paste(photo.crop((4, 6, 15, 13)), (4, 6))
keep("animated-part.webp", open(work + "/frames.webp", "rb").read(), seen)


# --- BMP --------------------------------------------------------------------------------------------------------------
def bmp(head, palette, pixels, size=None):
    at = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) + head + palette + pixels


def info(depth, compression=0, colours=0, height=H, size=40, more=b"", planes=1):
    head = struct.pack("<IiiHHIIiiII", size, W, height, planes, depth, compression, 0, 2835, 2835, colours, 0)
    return (head + more).ljust(size, b"\0")


def rows(pixel, depth, bottom_up=True):
    """pixel gives the value at x, y, of depth bits."""
    out = b""
    for y in reversed(range(H)) if bottom_up else range(H):
        if depth < 8:
            digits = "".join(f"{pixel(x, y):0{depth}b}" for x in range(W))
            digits += "0" * (-len(digits) % 32)
            row = int(digits, 2).to_bytes(len(digits) // 8, "big")
        else:
            row = b"".join(pixel(x, y).to_bytes(depth // 8, "little") for x in range(W))
            row += b"\0" * (-len(row) % 4)
        out += row
    return out


def paletted(colours):
    image = photo.quantize(colours)
    rgb = image.getpalette()[:3 * colours]
    palette = b"".join(bytes((rgb[i + 2], rgb[i + 1], rgb[i], 0)) for i in range(0, len(rgb), 3))
    return image, palette, image.convert("RGB")


def index(image):
    return lambda x, y: image.getpixel((x, y))


for depth in (1, 2, 4, 8):
    image, palette, seen = paletted(1 << min(depth, 6))
    n = len(palette) // 4
    keep(f"{depth}-bit.bmp", bmp(info(depth, colours=n), palette, rows(index(image), depth)), seen)
    if depth != 2:
        three = b"".join(palette[i:i + 3] for i in range(0, len(palette), 4))
        short = struct.pack("<IHHHH", 12, W, H, 1, depth)
        if depth == 8:
            three = three.ljust(3 * 256, b"\0")
        keep(f"os2-{depth}-bit.bmp", bmp(short, three, rows(index(image), depth)), seen)
    keep(f"top-down-{depth}-bit.bmp",
         bmp(info(depth, colours=n, height=-H), palette, rows(index(image), depth, False)), seen)


def rgb(bits, shifts, alpha=0):
    def pixel(x, y):
        value = alpha
        for v, n, s in zip(photo.getpixel((x, y)), bits, shifts):
            value |= (v >> (8 - n)) << s
        return value
    return pixel


def reduced(bits):
    return Image.merge("RGB", [
        c.point(lambda v, n=n: ((v >> (8 - n)) * 255 + ((1 << n) - 1) // 2) // ((1 << n) - 1))
        for c, n in zip(photo.split(), bits)])


def masks(*m):
    return struct.pack(f"<{len(m)}I", *m)


keep("24-bit.bmp", bmp(info(24), b"", rows(rgb((8, 8, 8), (16, 8, 0)), 24)), photo)
keep("os2-24-bit.bmp", bmp(struct.pack("<IHHHH", 12, W, H, 1, 24), b"", rows(rgb((8, 8, 8), (16, 8, 0)), 24)), photo)
keep("os2-v2-24-bit.bmp", bmp(info(24, size=64), b"", rows(rgb((8, 8, 8), (16, 8, 0)), 24)), photo)
keep("os2-v2-short.bmp", bmp(struct.pack("<IiiHH", 16, W, H, 1, 24), b"", rows(rgb((8, 8, 8), (16, 8, 0)), 24)), photo)
keep("32-bit.bmp", bmp(info(32), b"", rows(rgb((8, 8, 8), (16, 8, 0)), 32)), photo)
keep("555.bmp", bmp(info(16), b"", rows(rgb((5, 5, 5), (10, 5, 0)), 16)), reduced((5, 5, 5)))
keep("565.bmp", bmp(info(16, 3), masks(0xf800, 0x7e0, 0x1f), rows(rgb((5, 6, 5), (11, 5, 0)), 16)), reduced((5, 6, 5)))
keep("565-v4.bmp",
     bmp(info(16, 3, size=108, more=masks(0xf800, 0x7e0, 0x1f, 0)), b"", rows(rgb((5, 6, 5), (11, 5, 0)), 16)),
     reduced((5, 6, 5)))
keep("444.bmp", bmp(info(16, 3), masks(0xf00, 0xf0, 0xf), rows(rgb((4, 4, 4), (8, 4, 0)), 16)), reduced((4, 4, 4)))
keep("swapped-masks.bmp", bmp(info(32, 3), masks(0xff, 0xff00, 0xff0000), rows(rgb((8, 8, 8), (0, 8, 16)), 32)), photo)
keep("ten-bit-masks.bmp", bmp(info(32, 3, size=52, more=masks(0x3ff00000, 0xffc00, 0x3ff)), b"", rows(
    lambda x, y: sum(round(v * 1023 / 255) << s for v, s in zip(photo.getpixel((x, y)), (20, 10, 0))), 32)), photo)
half = Image.blend(photo, Image.new("RGB", (W, H), "white"), 127 / 255)
keep("alpha-v5.bmp", bmp(info(32, 3, size=124, more=masks(0xff0000, 0xff00, 0xff, 0xff000000)), b"",
                         rows(rgb((8, 8, 8), (16, 8, 0), 128 << 24), 32)), half)
keep("png-inside.bmp", bmp(info(0, 5), b"", png), photo)
keep("jpeg-inside.bmp", bmp(info(0, 4), b"", plain), on_white(Image.open(io.BytesIO(plain))))
refused("os2-huffman.bmp", bmp(info(1, 3, size=64), b"\0\0\0\0\xff\xff\xff\0", b"\0" * 99))
refused("os2-runs-24.bmp", bmp(info(24, 4, size=64), b"", b"\0" * 99))


def runs(image, depth):
    """Runs, single pixels, moves and skipped ends, in turn."""
    out = bytearray()
    for y in reversed(range(H)):
        row = [image.getpixel((x, y)) for x in range(W)]
        x = 0
        while x < W:
            n = 1
            while x + n < W and row[x + n] == row[x]:
                n += 1
            left = min(7, W - x)
            if n > 1 or left < 3:
                v = row[x] if depth == 8 else row[x] * 17
                out += bytes((n, v))
                x += n
                continue
            some = row[x:x + left]
            out += bytes((0, left))
            if depth == 4:
                some = [a << 4 | b for a, b in zip(some[::2], (some + [0])[1::2])]
            out += bytes(some) + b"\0" * (len(some) % 2)
            x += left
        out += b"\0\0"
    return bytes(out[:-2]) + b"\0\1"


for depth in (4, 8):
    image, palette, seen = paletted(1 << min(depth, 6))
    keep(f"rle{depth}.bmp",
         bmp(info(depth, {8: 1, 4: 2}[depth], colours=len(palette) // 4), palette, runs(image, depth)), seen)
seen = Image.new("RGB", (W, H), tuple(reversed(palette[:3])))
seen.putpixel((5, H - 1 - 2), tuple(reversed(palette[4:7])))
keep("rle8-moves.bmp", bmp(info(8, 1, colours=len(palette) // 4), palette, b"\0\2\5\2\1\1\0\1"), seen)

# --- HEIC and AVIF ----------------------------------------------------------------------------------------------------
photo.resize((90, 66), Image.Resampling.BICUBIC).save(work + "/large.png")


def changed(data, change, *kinds):
    """The boxes of a file or box of the ISO base media format, the one that the kinds lead to changed, or all that have
    it."""
    out = b""
    while data:
        size, kind = struct.unpack(">I4s", data[:8])
        body, data = data[8:size], data[size:]
        if kind == kinds[0]:
            head = 4 if kind == b"meta" else 0  # version and flags
            body = body[:head] + changed(body[head:], change, *kinds[1:]) if kinds[1:] else change(body)
        out += struct.pack(">I4s", 8 + len(body), kind) + body
    return out


def with_properties(data, *added):
    """The HEIC file with more properties, kind and content, of its primary item, which is the last that has any."""
    meta = lambda data: struct.unpack(">I", data[data.index(b"meta") - 4:][:4])[0]
    count = []

    def more(body):
        for kind, content in added:
            body += struct.pack(">I4s", 8 + len(content), kind) + content
        at = 0
        while at < len(body):
            count.append(at)
            at += struct.unpack(">I", body[at:at + 4])[0]
        return body

    def associated(body):  # the last entry begins with its item and how many properties it has
        at = 8
        for _ in range(struct.unpack(">I", body[4:8])[0]):
            last, at = at + 2, at + 3 + body[at + 2]
        new = bytes(0x80 | len(count) - len(added) + 1 + i for i in range(len(added)))  # the decoder has to know them
        return body[:last] + bytes([body[last] + len(new)]) + body[last + 1:] + new

    def moved(body):  # of each item one stretch, from a base; version 1 says where, and what lies in idat stays there
        form, out = (">HHHIHII" if body[0] else ">HHIHII"), body[:8]
        for item, *where, base, stretches, offset, size in struct.iter_unpack(form, body[8:]):
            base += 0 if any(where) else grown
            out += struct.pack(form, item, *where, base, stretches, offset, size)
        return out

    before = meta(data)
    data = changed(data, more, b"meta", b"iprp", b"ipco")
    data = changed(data, associated, b"meta", b"iprp", b"ipma")
    grown = meta(data) - before
    return changed(data, moved, b"meta", b"iloc")


def heic(name, source, *flags, properties=()):
    run("heif-enc", *flags, "@/" + source, "-o", "@/" + name)
    data = open(f"{work}/{name}", "rb").read()
    if properties:
        data = with_properties(data, *properties)
        open(f"{work}/{name}", "wb").write(data)
    run("heif-convert", "@/" + name, "@/seen.png")
    return data, on_white(Image.open(work + "/seen.png"), turn=False)  # heif-convert has, and hands Exif on


keep("lossless.heic", *heic("lossless.heic", "photo.png", "-L", "-p", "chroma=444"))
keep("420.heic", *heic("420.heic", "photo.png", "-q", "80"))
keep("large-420.heic", *heic("large.heic", "large.png", "-q", "50"))
keep("alpha.heic", *heic("alpha.heic", "alpha.png", "-q", "80", "-p", "chroma=444"))
keep("ten-bit.heic", *heic("ten.heic", "photo.png", "-q", "80", "-b", "10", "-p", "chroma=444"))
photo.convert("L").save(work + "/grey.png")
photo.resize((64, 64)).save(work + "/even.png")  # others are made of tiles
keep("grey.heic", *heic("grey.heic", "grey.png", "-q", "80"))
for matrix, full in ((1, 0), (6, 0), (9, 1)):
    flags = [f"--matrix_coefficients={matrix}", f"--full_range_flag={full}"]
    keep(f"matrix{matrix}-{'full' if full else 'studio'}.heic", *heic("m.heic", "even.png", "-q", "80", *flags))

rotation, mirror = (lambda quarters: (b"irot", bytes([quarters]))), (lambda axis: (b"imir", bytes([axis])))
aperture = (b"clap", struct.pack(">8i", 11, 1, 7, 1, -2, 1, 1, 1))
for quarters in 1, 2, 3:
    keep(f"turned-{quarters}.heic", *heic("t.heic", "photo.png", "-q", "80", properties=[rotation(quarters)]))
for axis in 0, 1:
    keep(f"mirrored-{axis}.heic", *heic("t.heic", "photo.png", "-q", "80", properties=[mirror(axis)]))
keep("turned-mirrored.heic", *heic("t.heic", "even.png", "-q", "50", properties=[rotation(1), mirror(0)]))
keep("cropped.heic", *heic("t.heic", "photo.png", "-q", "80", "-p", "chroma=444", properties=[aperture]))
keep("cropped-turned.heic",
     *heic("t.heic", "photo.png", "-q", "80", "-p", "chroma=444", properties=[aperture, rotation(3)]))
exif = Image.Exif()
exif[0x112] = 6
photo.save(work + "/exif.jpg", quality=95, exif=exif)  # what Exif says of turning does not count in HEIC and AVIF
keep("exif6.heic", *heic("e.heic", "exif.jpg", "-q", "80"))
keep("exif6-turned.heic", *heic("e.heic", "exif.jpg", "-q", "80", properties=[rotation(3)]))


def avif(name, source, *flags, turn=None, crop=None):
    run("avifenc", *flags, "@/" + source, "@/" + name)
    run("avifdec", "@/" + name, "@/seen.png")
    seen = on_white(Image.open(work + "/seen.png"), turn=False)
    if crop:
        seen = seen.crop(crop)
    for t in turn or []:
        seen = seen.transpose(t)
    return open(f"{work}/{name}", "rb").read(), seen


# One that libaom writes whole, and other decoders do not read: more pixels than a level of AV1 has.
Image.new("RGB", (8000, 6000), (200, 30, 40)).save(work + "/beyond.png")
run("avifenc", "-s", "10", "@/beyond.png", "@/beyond.avif")
shutil.copy(work + "/beyond.avif", os.path.join(os.path.dirname(os.path.abspath(__file__)), "beyond-levels.avif"))

good = ["--min", "5", "--max", "15"]
keep("lossless.avif", *avif("lossless.avif", "photo.png", "-l"))
keep("420.avif", *avif("420.avif", "photo.png", "-y", "420", *good))
keep("422.avif", *avif("422.avif", "photo.png", "-y", "422", *good))
keep("ten-bit-420.avif", *avif("ten.avif", "photo.png", "-d", "10", "-y", "420", *good))
keep("ten-bit.avif", *avif("ten.avif", "photo.png", "-d", "10", *good))
keep("alpha.avif", *avif("alpha.avif", "alpha.png", *good))
keep("grey.avif", *avif("grey.avif", "photo.png", "-y", "400", *good))
keep("alpha-420.avif", *avif("alpha.avif", "alpha.png", "-y", "420", *good))
keep("studio-420.avif", *avif("studio.avif", "photo.png", "-r", "limited", "-y", "420", *good))
keep("studio.avif", *avif("studio.avif", "photo.png", "-r", "limited", *good))
T = Image.Transpose
open(work + "/exif", "wb").write(exif.tobytes()[6:])  # without "Exif"
data, seen = avif("e.avif", "photo.png", "--exif", "@/exif", *good)  # avifenc states Exif's turn as a property as well
assert data.count(b"irot\3") == 1
keep("exif6-turned.avif", data, seen.transpose(T.ROTATE_270))
keep("exif6.avif", data.replace(b"irot\3", b"irot\0"), seen)
keep("turned.avif", *avif("turned.avif", "photo.png", "--irot", "1", *good, turn=[T.ROTATE_90]))
keep("mirrored.avif", *avif("mirrored.avif", "photo.png", "--imir", "0", *good, turn=[T.FLIP_TOP_BOTTOM]))
keep("turned-mirrored.avif", *avif("both.avif", "photo.png", "--irot", "3", "--imir", "1", *good,
                                   turn=[T.ROTATE_270, T.FLIP_LEFT_RIGHT]))
keep("cropped.avif", *avif("cropped.avif", "photo.png", "--clap", "11,1,7,1,-2,1,1,1", "-y", "444", *good,
                           crop=(4, 6, 15, 13)))
shutil.rmtree(work)
names = os.listdir("members")
print(len(names), "files,", sum(os.path.getsize("members/" + f) for f in names), "bytes")
