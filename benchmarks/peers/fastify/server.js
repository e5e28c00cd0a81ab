// Articles as Fastify users write them by hand: JSON schemas, node-postgres, prepared statements.
import Fastify from "fastify";
import pg from "pg";
import { randomUUID } from "node:crypto";

const COLUMNS =
  "id, title, slug, body, status, views, rating, published_at, meta, author_id, created_at, updated_at, version";
const FIRST = "00000000-0000-0000-0000-000000000000";

pg.types.setTypeParser(pg.types.builtins.INT8, Number); // else a bigint is a string

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });

const nullable = (type) => ({ type: [type, "null"] });
const time = { type: ["string", "null"], format: "date-time" };
const read = {
  type: "object",
  properties: {
    id: { type: "string" },
    title: { type: "string" },
    slug: { type: "string" },
    body: { type: "string" },
    status: { type: "string" },
    views: { type: "integer" },
    rating: nullable("number"),
    published_at: time,
    meta: { type: ["object", "null"], additionalProperties: true },
    author_id: nullable("string"),
    created_at: { type: "string", format: "date-time" },
    updated_at: { type: "string", format: "date-time" },
    version: { type: "integer" },
  },
};
const fields = {
  title: { type: "string", minLength: 1, maxLength: 200 },
  slug: { type: "string", minLength: 1, maxLength: 100 },
  body: { type: "string" },
  status: { type: "string" },
  views: { type: "integer", minimum: 0 },
  rating: nullable("number"),
  published_at: time,
  meta: { type: ["object", "null"], additionalProperties: true },
  author_id: { type: ["string", "null"], format: "uuid" },
};
const create = { type: "object", required: ["title", "slug"], properties: fields, additionalProperties: false };
const update = { type: "object", properties: fields, additionalProperties: false };
const params = { type: "object", properties: { id: { type: "string", format: "uuid" } } };
const query = {
  type: "object",
  properties: {
    limit: { type: "integer", minimum: 1, default: 20 },
    after: { type: "string", format: "uuid", default: FIRST },
  },
};

const app = Fastify();

app.get("/articles/:id", { schema: { params, response: { 200: read } } }, async (request, reply) => {
  const { rows } = await pool.query({
    name: "get",
    text: `SELECT ${COLUMNS} FROM articles WHERE id = $1 AND deleted_at IS NULL`,
    values: [request.params.id],
  });
  return rows[0] ?? reply.callNotFound();
});

app.get(
  "/articles",
  { schema: { querystring: query, response: { 200: { type: "array", items: read } } } },
  async (request) => {
    const { rows } = await pool.query({
      name: "list",
      text: `SELECT ${COLUMNS} FROM articles WHERE deleted_at IS NULL AND id > $1 ORDER BY id LIMIT $2`,
      values: [request.query.after, request.query.limit],
    });
    return rows;
  },
);

app.post("/articles", { schema: { body: create, response: { 201: read } } }, async (request, reply) => {
  const { title, slug, body = "", status = "draft", views = 0 } = request.body;
  const { rating = null, published_at = null, meta = null, author_id = null } = request.body;
  const { rows } = await pool.query({
    name: "create",
    text:
      "INSERT INTO articles (id, title, slug, body, status, views, rating, published_at, meta, author_id," +
      " created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now(), now())" +
      ` RETURNING ${COLUMNS}`,
    values: [randomUUID(), title, slug, body, status, views, rating, published_at, meta, author_id],
  });
  reply.code(201);
  return rows[0];
});

app.patch(
  "/articles/:id",
  { schema: { params, body: update, response: { 200: read } } },
  async (request, reply) => {
    const names = Object.keys(request.body); // the schema knows them, so they are safe in SQL
    const sets = names.map((name, place) => `${name} = $${place + 2}, `).join("");
    const { rows } = await pool.query({
      name: `update ${names}`,
      text:
        `UPDATE articles SET ${sets}updated_at = now(), version = version + 1` +
        ` WHERE id = $1 AND deleted_at IS NULL RETURNING ${COLUMNS}`,
      values: [request.params.id, ...names.map((name) => request.body[name])],
    });
    return rows[0] ?? reply.callNotFound();
  },
);

app.delete("/articles/:id", { schema: { params } }, async (request, reply) => {
  const { rowCount } = await pool.query({
    name: "delete",
    text: "DELETE FROM articles WHERE id = $1 AND deleted_at IS NULL",
    values: [request.params.id],
  });
  return rowCount ? reply.code(204).send() : reply.callNotFound();
});

process.once("SIGTERM", async () => {
  await app.close();
  await pool.end();
});
await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
