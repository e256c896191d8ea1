"""Prints the tensors of a packed set as JSON, by the description of the safetensors format alone."""
import json, struct, sys

with open(sys.argv[1], 'rb') as f:
    b = f.read()
size = struct.unpack('<Q', b[:8])[0]
header = json.loads(b[8:8 + size])
out = {}
for name, t in header.items():
    if name == '__metadata__':
        continue
    begin, end = t['data_offsets']
    data = b[8 + size + begin:8 + size + end]
    width = {'U8': 1, 'I64': 8}[t['dtype']]
    assert (8 + size + begin) % width == 0, 'not aligned'
    values = list(struct.unpack('<%d%s' % (len(data) // width, 'Bq'[width > 1]), data))
    out[name] = {'Shape': t['shape'], 'Values': values}
    if name.endswith('.names'):
        out[name]['Names'] = data.decode().split('\0')[:-1]
print(json.dumps(out))
