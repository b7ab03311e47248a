'use strict'
// Reads a folder of Hypercore 10 to its end: `node read.js FOLDER`
//
// Prints {index, block} for each block, and then what the whole is: its key, length and root, whether the key signed it,
// and what an audit had to correct. A copy is read: opening and auditing write to the files.

const fs = require('fs')
const os = require('os')
const path = require('path')
const Hypercore = require('hypercore')
const crypto = require('hypercore-crypto')
const { treeSignableCompat } = require('hypercore/lib/caps')

async function main (folder) {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'hypercore-'))
  try {
    fs.cpSync(folder, copy, { recursive: true })
    await read(new Hypercore(copy, { createIfMissing: false }))
  } finally {
    fs.rmSync(copy, { recursive: true, force: true })
  }
}

async function read (core) {
  await core.ready()
  for (let index = 0; index < core.length; index++) {
    const block = await core.get(index, { wait: false })
    if (block === null) throw new Error(`block ${index} of ${core.length} is missing`)
    print({ index, block: block.toString() })
  }
  const tree = core.core.tree
  const signed = treeSignableCompat(tree.hash(), tree.length, tree.fork, false)
  print({
    key: core.key.toString('hex'),
    length: core.length,
    root: tree.hash().toString('hex'),
    is_signed: core.length > 0 && crypto.verify(signed, tree.signature, core.key),
    corrections: await core.core.audit()
  })
  await core.close()
}

function print (line) {
  process.stdout.write(JSON.stringify(line) + '\n')
}

main(process.argv[2]).catch((error) => {
  console.error(error)
  process.exitCode = 1
})
